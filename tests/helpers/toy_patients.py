"""Small patients: a block of tissue with a hot organ and a few hot spots that are lesions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fedpsma.domain.contour import ContourConvention
from fedpsma.domain.tracer import Tracer
from fedpsma.io.dataset import Dataset, DatasetInfo, StudyRow, write_dataset
from fedpsma.io.nifti import write_volume

SPACING = (4.0, 4.0, 5.0)


def _write_study(folder: Path, number: int, lesions: int) -> StudyRow:
    rng = np.random.default_rng(number)
    shape, affine = (28, 24, 26), np.diag([*SPACING, 1.0])
    pet = rng.gamma(4, 0.02, shape).astype(np.float32)
    pet[3:-3, 3:-3] += 0.8
    ct = np.full(shape, -1000, np.float32)
    ct[3:-3, 3:-3] = 40
    pet[5:11, 8:15, 10:20] = 6 + rng.random((6, 7, 10))
    anatomy = np.where(ct > -500, 1, 0).astype(np.uint8)
    anatomy[5:11, 8:15, 10:20] = 30
    mask = np.zeros(shape, np.int32)
    for label in range(1, lesions + 1):
        x, y, z = rng.integers([13, 5, 5], [22, 18, 20])
        mask[x : x + 2, y : y + 2, z : z + 2] = label
    pet[mask > 0] = 12
    for name, volume in {"pet": pet, "ct": ct, "mask": mask, "anatomy": anatomy}.items():
        write_volume(folder / f"{number}_{name}.nii", volume, affine)
    return StudyRow(
        id=f"s{number}",
        patient=f"p{number:02d}",
        pet=f"{number}_pet.nii",
        ct=f"{number}_ct.nii",
        mask=f"{number}_mask.nii",
        anatomy=f"{number}_anatomy.nii",
        tracer=list(Tracer)[number % 2],
        spacing=SPACING,
    )


def toy_dataset(folder: Path, patients: int, site: str = "A", contour: ContourConvention = "suv3") -> Dataset:
    """Write a data set of so many small patients, one study each."""
    rows = [_write_study(folder, number, lesions=number % 3) for number in range(patients)]
    return write_dataset(folder, DatasetInfo(name="toy", site=site, contour=contour, synthetic=True), rows)
