"""A PET/CT study in memory, in the one working orientation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.exam import Technique
from fedpsma.domain.tracer import Tracer

FloatVolume = NDArray[np.float32]
LabelVolume = NDArray[np.int32]
Affine = NDArray[np.float64]


CT_OUTSIDE_HU = -1024.0
"""What stands in a CT on the PET grid where the scan did not reach; within a body no tissue is as thin."""


def ct_reaches(hounsfield: NDArray[np.float32]) -> bool:
    """Tell whether a CT (HU, on the PET grid) was taken at most of these voxels.

    Example:
        >>> ct_reaches(np.array([40.0, -1024.0, -1024.0])), ct_reaches(np.array([-900.0]))
        (False, True)
    """
    return bool(np.mean(hounsfield > CT_OUTSIDE_HU + 1) >= 0.5) if hounsfield.size else False


@dataclass(frozen=True)
class Study:
    """PET in SUVbw with what lies on the same grid.

    Arrays are (x, y, z) in RAS+ order: x grows to the patient's right, y to anterior, z to superior. ``affine`` maps
    voxel indices to millimetres. ``ct`` is in Hounsfield units on the PET grid, ``lesions`` numbers the lesions from 1
    (0 is none), ``anatomy`` holds the class numbers of :mod:`fedpsma.domain.anatomy`; each is ``None`` where unknown.
    ``notes`` says in words what the reader must know of the conversion.
    """

    study_id: str
    patient_id: str
    pet: FloatVolume
    affine: Affine
    tracer: Tracer | None = None
    ct: FloatVolume | None = None
    lesions: LabelVolume | None = None
    anatomy: NDArray[np.uint8] | None = None
    date: str | None = None
    technique: Technique = field(default_factory=Technique)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pet.ndim != 3:
            raise ValueError(f"the PET has {self.pet.ndim} axes instead of 3 (x, y, z)")
        for name in ("ct", "lesions", "anatomy"):
            volume = getattr(self, name)
            if volume is not None and volume.shape != self.pet.shape:
                raise ValueError(f"{name} has shape {volume.shape}, but the PET has {self.pet.shape}")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge lengths along x, y and z in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000.0)


@dataclass(frozen=True)
class VoxelPrediction:
    """What the network says of every voxel of a study, on the study's PET grid, arrays (x, y, z).

    ``suspicious`` and ``physiological`` are probabilities (0 to 1) that with the background sum to one; ``anatomy`` is
    the most probable class number of :mod:`fedpsma.domain.anatomy`.
    """

    suspicious: FloatVolume
    physiological: FloatVolume
    anatomy: NDArray[np.uint8]
