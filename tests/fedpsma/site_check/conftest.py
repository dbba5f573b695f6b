"""A sound cohort of synthetic patients, checked once; tests damage copies of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedpsma.io.dataset import Dataset, StudyRow, read_dataset, write_dataset
from fedpsma.io.nifti import read_volume, write_volume
from fedpsma.phantom.cohort import write_cohort
from fedpsma.site_check.check import check_dataset
from fedpsma.site_check.report import CheckReport

PATIENTS = 6


class Copy:
    """A copy of the sound cohort in which only what a test changes is measured again."""

    def __init__(self, source: Path, folder: Path) -> None:
        shutil.copytree(source, folder)
        self.folder = folder

    @property
    def rows(self) -> list[StudyRow]:
        return list(self.data.rows)

    @property
    def data(self) -> Dataset:
        return read_dataset(self.folder)

    def row(self, number: int, **changes: object) -> StudyRow:
        rows = self.rows
        rows[number] = rows[number].model_copy(update=changes)
        write_dataset(self.folder, self.data.info, rows)
        return rows[number]

    def info(self, **changes: object) -> None:
        write_dataset(self.folder, self.data.info.model_copy(update=changes), self.rows)

    def volume(self, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """Replace the voxels of a file; labels and HU stay whole numbers."""
        found = read_volume(self.folder / name)
        changed = change(found.data)
        kind = np.float32 if name.startswith("pet") else np.int16
        write_volume(self.folder / name, np.ascontiguousarray(changed.astype(kind)), found.affine)

    def check(self) -> CheckReport:
        return check_dataset(self.data, self.folder / "check", workers=1)

    def found(self) -> list[str]:
        """Codes of every error and warning."""
        return [one.code for one in self.check().problems if one.severity != "note"]


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "cohort"
    data = write_cohort(folder, "C", range(PATIENTS), 3)
    # As the plainest of hospital data comes.
    plain = {"anatomy": None, "date": None, "scanner": None}
    data = write_dataset(folder, data.info, [row.model_copy(update=plain) for row in data.rows])
    check_dataset(data, folder / "check", workers=2)
    return folder


@pytest.fixture
def cohort(sound: Path, tmp_path: Path) -> Copy:
    return Copy(sound, tmp_path / "cohort")
