"""Studies as patch sources, kept in memory between rounds because reading them costs seconds."""

from __future__ import annotations

from collections import OrderedDict

from fedpsma.io.dataset import Dataset, StudyRow
from fedpsma.io.files import file_state
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inputs import to_grid
from fedpsma.training.patches import PatchSource, patch_source

_Key = tuple[str, str, tuple[tuple[int, int] | None, ...], NetworkConfig]


class SourceCache:
    """The most recently used patch sources (about 10 MB each for a whole body on a 4 mm grid).

    A study whose files changed on disk is read again.
    """

    def __init__(self, capacity: int = 128) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[_Key, PatchSource] = OrderedDict()

    def get(self, dataset: Dataset, row: StudyRow, config: NetworkConfig) -> PatchSource:
        """Return the patch source of one study, reading it if needed.

        Raises:
            InputError: A volume cannot be read, or the study has no lesion mask.
        """
        key = _key(dataset, row, config)
        if key not in self._kept:
            self._kept[key] = patch_source(to_grid(dataset.load(row), config))
        self._kept.move_to_end(key)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return self._kept[key]

    def of_patient(self, dataset: Dataset, patient: str, config: NetworkConfig) -> list[PatchSource]:
        """Return the patch sources of all studies of a patient."""
        return [self.get(dataset, row, config) for row in dataset.rows_of(patient)]


def _key(dataset: Dataset, row: StudyRow, config: NetworkConfig) -> _Key:
    files = [dataset.folder / name for name in (row.pet, row.ct, row.mask, row.anatomy) if name is not None]
    changed = tuple(map(file_state, files))
    return str(dataset.folder.resolve()), row.id, changed, config
