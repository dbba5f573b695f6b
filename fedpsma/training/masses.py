"""Large tumours, drawn into patches: a network that never saw one of half a litre takes it for an organ.

Sizes reach from a large node to a tumour that fills a thigh, uptake and the dead core are those of bulky masses under
FDG: ranges that any reader would name, not fitted to a data set [K].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

VOLUME_ML = (15.0, 1500.0)
SUV_MEDIAN, SUV_LOG_SD = 9.0, 0.6
TISSUE_HU, TISSUE_HU_SD = 40.0, 15.0
_TEXTURE_HU = 40.0
_LUMPS = 5
_LUMPINESS, _MOTTLING = 0.25, 0.3
_LEAST_RATIO = 0.5


@dataclass(frozen=True)
class Masses:
    """How often a patch gets a tumour, and the volume of a voxel in ml."""

    share: float
    voxel_ml: float


NO_MASSES = Masses(0.0, 1.0)


@dataclass(frozen=True)
class Mass:
    """A tumour round the middle of a patch.

    ``radii`` are the half axes (x, y, z) in voxels, ``suv`` the uptake of its rim, ``core`` the share of it that the
    middle lacks, ``hu`` its density. ``lumps`` and ``mottling`` (n, n, n), stretched over the patch, make outline and
    uptake uneven.
    """

    radii: tuple[float, float, float]
    suv: float
    core: float
    hu: float
    lumps: Tensor
    mottling: Tensor


def draw_mass(voxel_ml: float, generator: torch.Generator) -> Mass:
    """Draw a tumour for a grid with voxels of this volume."""
    chance = torch.rand(5, generator=generator).tolist()
    normal = torch.randn(2, generator=generator).tolist()
    low, high = (math.log(one) for one in VOLUME_ML)
    voxels = math.exp(low + (high - low) * chance[0]) / voxel_ml
    ratios = [1.0, *(_LEAST_RATIO + (1 - _LEAST_RATIO) * one for one in chance[1:3])]
    turn = int(3 * chance[3])
    longest = (3 * voxels / (4 * math.pi * math.prod(ratios))) ** (1 / 3)
    x, y, z = (longest * one for one in ratios[turn:] + ratios[:turn])
    return Mass(
        radii=(x, y, z),
        suv=SUV_MEDIAN * math.exp(SUV_LOG_SD * normal[0]),
        core=0.9 * chance[4],
        hu=TISSUE_HU + TISSUE_HU_SD * normal[1],
        lumps=torch.randn((_LUMPS,) * 3, generator=generator),
        mottling=torch.randn((_LUMPS,) * 3, generator=generator),
    )


def mass_mask(mass: Mass, shape: tuple[int, int, int]) -> Tensor:
    """Return where in a patch (x, y, z) the tumour lies."""
    return _distance(mass, shape) < 1


def add_uptake(pet: Tensor, mass: Mass, mask: Tensor) -> Tensor:
    """Return the PET (SUV) of a patch with the tumour in ``mask``, blurred over its edge as a scanner does."""
    shape = (pet.shape[0], pet.shape[1], pet.shape[2])
    depth = (1 - _distance(mass, shape)).clamp(0, 1)
    uptake = mass.suv * (1 - mass.core * depth) * (_MOTTLING * _stretched(mass.mottling, shape)).exp()
    filled = nn.functional.avg_pool3d(mask.float()[None, None], 3, stride=1, padding=1)[0, 0]
    return torch.lerp(pet, torch.maximum(uptake, pet), filled)


def add_density(ct: Tensor, mass: Mass, mask: Tensor) -> Tensor:
    """Return the CT (HU) of a patch with the tumour in ``mask``; half of the texture of the tissue remains."""
    tissue = mass.hu + 0.5 * (ct - mass.hu).clamp(-_TEXTURE_HU, _TEXTURE_HU)
    return torch.where(mask, tissue, ct)


def _distance(mass: Mass, shape: tuple[int, int, int]) -> Tensor:
    """Return the distance from the middle in half axes, made uneven by the lumps."""
    axes = [
        ((torch.arange(size, dtype=torch.float32) - (size - 1) / 2) / radius).square()
        for size, radius in zip(shape, mass.radii, strict=True)
    ]
    plain = (axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]).sqrt()
    return plain + _LUMPINESS * _stretched(mass.lumps, shape)


def _stretched(field: Tensor, shape: tuple[int, int, int]) -> Tensor:
    smooth: Tensor = nn.functional.interpolate(field[None, None], size=shape, mode="trilinear", align_corners=True)
    return smooth[0, 0]
