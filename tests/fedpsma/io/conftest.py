"""Small DICOM series on disk, in any nesting."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from dicom_series import ct_slices, pet_slices
from pydicom import Dataset


@pytest.fixture
def write_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write slices below a new folder, shuffled and nested, and return the folder."""
    counter = count()

    def write(*series: list[Dataset]) -> Path:
        folder = tmp_path / f"export{next(counter)}"
        for number, slices in enumerate(series):
            for index, one in enumerate(reversed(slices)):
                place = folder / f"disc{index % 2}" / f"s{number}"
                place.mkdir(parents=True, exist_ok=True)
                one.save_as(place / f"IM{index}", enforce_file_format=True)
        folder.mkdir(exist_ok=True)
        (folder / "readme.txt").write_text("not an image")
        return folder

    return write


@pytest.fixture
def pet() -> list[Dataset]:
    return pet_slices()


@pytest.fixture
def ct() -> list[Dataset]:
    return ct_slices()
