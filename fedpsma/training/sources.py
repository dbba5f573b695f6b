"""Studies as patch sources, kept in memory between rounds because reading them costs seconds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from fedpsma.domain.contour import ContourConvention
from fedpsma.io.dataset import Dataset, StudyRow
from fedpsma.io.files import file_state
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inputs import to_grid
from fedpsma.training.conventions import without_disputed_edges
from fedpsma.training.patches import PatchSource, patch_source

Contours = tuple[ContourConvention, ...]
_State = tuple[tuple[int, int] | None, ...]
_Key = tuple[str, str, _State, NetworkConfig, Contours]


class SourceCache:
    """The most recently used patch sources (about 10 MB each for a whole body on a 4 mm grid).

    A study whose files changed on disk is read again.
    """

    def __init__(self, capacity: int = 128) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[_Key, PatchSource] = OrderedDict()

    def get(self, dataset: Dataset, row: StudyRow, config: NetworkConfig, contours: Contours = ()) -> PatchSource:
        """Return the patch source of one study, reading it if needed.

        ``contours`` are the rules on whose disputed edges nothing is to be learnt, none if left out.

        Raises:
            InputError: A volume cannot be read, or the study has no lesion mask.
        """
        key = (*_key(dataset, row, config), contours)
        if key not in self._kept:
            source = patch_source(to_grid(dataset.load(row), config))
            # Patches are centred on what the site drew.
            self._kept[key] = replace(source, study=without_disputed_edges(source.study, contours))
        self._kept.move_to_end(key)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return self._kept[key]

    def of_patient(
        self, dataset: Dataset, patient: str, config: NetworkConfig, contours: Contours = ()
    ) -> list[PatchSource]:
        """Return the patch sources of all studies of a patient."""
        return [self.get(dataset, row, config, contours) for row in dataset.rows_of(patient)]


def _key(dataset: Dataset, row: StudyRow, config: NetworkConfig) -> tuple[str, str, _State, NetworkConfig]:
    files = [dataset.folder / name for name in row.volumes]
    changed = tuple(map(file_state, files))
    return str(dataset.folder.resolve()), row.id, changed, config
