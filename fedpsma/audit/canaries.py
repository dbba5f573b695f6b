"""Canaries: made-up patients that a model can only know by heart, because their tumours are drawn where none is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import LabelVolume, Study
from fedpsma.io.dataset import Dataset, StudyRow
from fedpsma.io.nifti import write_volume

BALLS = 3
RADIUS_MM = 12.0
_BODY_SUV = 0.15


def with_canaries(dataset: Dataset, count: int, folder: Path, seed: int) -> Dataset:
    """Return a data set with ``count`` further patients, images of the others with balls marked at random places.

    Args:
        dataset: The patients whose images are used, in turn.
        count: How many canaries.
        folder: Where their masks are written; masks that are there are used again.
        seed: Where the balls lie.
    """
    rows = tuple(_canary(dataset, number, folder, seed) for number in range(count))
    return Dataset(dataset.folder, dataset.info, (*dataset.rows, *rows))


def _canary(dataset: Dataset, number: int, folder: Path, seed: int) -> StudyRow:
    row = dataset.rows_of(dataset.patients[number % len(dataset.patients)])[0]
    mask = folder.resolve() / f"{seed}_{number}.nii.gz"
    if not mask.is_file():
        study = dataset.load(row)
        write_volume(mask, random_balls(study, np.random.default_rng([seed, number])), study.affine)
    name = f"canary-{number:04d}"
    # An absolute path stays what it is when the folder of the data set is put before it.
    moved = {kind: _absolute(dataset, getattr(row, kind)) for kind in ("pet", "ct", "anatomy")}
    return row.model_copy(update={**moved, "id": name, "patient": name, "mask": str(mask)})


def _absolute(dataset: Dataset, name: str | None) -> str | None:
    return None if name is None else str((dataset.folder / name).resolve())


def random_balls(study: Study, rng: np.random.Generator) -> LabelVolume:
    """Return a mask (x, y, z) with numbered balls of 12 mm radius around random voxels of the body."""
    body = np.argwhere(study.pet > _BODY_SUV)
    places = body if len(body) else np.argwhere(np.ones(study.pet.shape, dtype=bool))
    mask: LabelVolume = np.zeros(study.pet.shape, dtype=np.int32)
    for label, centre in enumerate(rng.choice(places, size=BALLS), start=1):
        mask[_ball(mask.shape, centre, study.spacing_mm)] = label
    return mask


def _ball(
    shape: tuple[int, ...], centre: NDArray[np.intp], spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    axes = np.ogrid[tuple(slice(size) for size in shape)]
    squares = [((axis - at) * edge) ** 2 for axis, at, edge in zip(axes, centre, spacing_mm, strict=True)]
    return np.asarray(sum(squares) <= RADIUS_MM**2)
