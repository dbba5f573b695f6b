"""The CT of a synthetic study in HU on the PET grid: taken in one breath, with cortex, texture, contrast and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.study import FloatVolume
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.breathing import height_share, tissue_mobility
from fedpsma.phantom.grid import Grid, sample_linear
from fedpsma.phantom.placement import PlacedFocus
from fedpsma.phantom.scanner import FWHM_PER_SIGMA, CtSetting, Exposure, ImagedFocus
from fedpsma.phantom.scanner_table import scanner_table
from fedpsma.phantom.tables import tissues

_AIR_HU, _TOP_HU = -1024, 3071
# Below this the air around the patient is left without noise.
_OUTSIDE_HU = -950.0
# Densities up to here are soft tissue, which contrast medium enhances.
_SOFT_HU = 150.0


def image_ct(
    rng: np.random.Generator, anatomy: Anatomy, foci: Sequence[ImagedFocus], exposure: Exposure, grid: Grid
) -> FloatVolume | None:
    """Return the CT in HU on the PET grid, or ``None`` where the study has none."""
    setting = exposure.ct
    if setting is None:
        return None
    working = _densities(rng, anatomy, setting.enhancement)
    working = _in_one_breath(working, anatomy, setting.breath_mm)
    volume = sample_linear(working, _moved(anatomy.grid, setting.motion_mm), grid)
    for focus in foci:
        _insert(volume, focus, setting, exposure.breathing_mm, grid)
    inside = volume > _OUTSIDE_HU
    volume += inside * np.float32(setting.noise_hu) * rng.standard_normal(volume.shape, dtype=np.float32)
    return np.clip(np.rint(volume, out=volume), _AIR_HU, _TOP_HU, out=volume)


def _densities(rng: np.random.Generator, anatomy: Anatomy, enhancement: float) -> NDArray[np.float32]:
    """Return HU on the working grid: tissues with their slow differences, and the cortex of bones."""
    table = scanner_table().ct
    plain = np.array([tissue.hu for tissue in tissues()])
    contrast = np.array([tissue.hu_contrast for tissue in tissues()])
    hu = (plain + enhancement * (contrast - plain)).astype(np.float32)[anatomy.tissue]
    sigma = table.texture_mm / FWHM_PER_SIGMA / anatomy.grid.spacing_mm[0]
    texture = ndimage.gaussian_filter(rng.standard_normal(hu.shape, dtype=np.float32), sigma, truncate=2.0)
    texture /= texture.std()
    texture *= _by_tissue(table.texture_hu)[anatomy.tissue]
    hu += texture
    return _add_cortex(hu, anatomy.tissue)


def _add_cortex(hu: NDArray[np.float32], tissue: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Raise the voxels of a bone that border on what is not bone."""
    cortex = _by_tissue(scanner_table().ct.cortex_hu)
    bone = (cortex > 0)[tissue]
    core = bone.copy()
    for axis in range(3):
        inner, whole = np.moveaxis(core, axis, 0), np.moveaxis(bone, axis, 0)
        inner[1:] &= whole[:-1]
        inner[:-1] &= whole[1:]
    surface = bone & ~core
    hu[surface] += cortex[tissue[surface]]
    return hu


def _by_tissue(values: dict[str, float]) -> NDArray[np.float32]:
    return np.array([values.get(tissue.name, 0.0) for tissue in tissues()], dtype=np.float32)


def _in_one_breath(hu: NDArray[np.float32], anatomy: Anatomy, breath_mm: float) -> NDArray[np.float32]:
    """Move organs up by the state of breath; where bone or the wall of the body is or would come, all stays."""
    step = height_share(anatomy) * np.float32(breath_mm / anatomy.grid.spacing_mm[2])
    affected = np.flatnonzero(np.abs(step) > 1e-3)
    if not len(affected):
        return hu
    source = np.clip(affected - step[affected], 0, hu.shape[2] - 1)
    lower = np.minimum(source.astype(np.intp), hu.shape[2] - 2)
    weight = (source - lower).astype(np.float32)
    moved = hu[:, :, lower] * (1 - weight) + hu[:, :, lower + 1] * weight
    mobile = (tissue_mobility() >= 0.5)[anatomy.tissue]
    free = mobile[:, :, affected] & mobile[:, :, lower] & mobile[:, :, lower + 1]
    hu[:, :, affected] = np.where(free, moved, hu[:, :, affected])
    return hu


def _insert(
    volume: NDArray[np.float32], focus: ImagedFocus, setting: CtSetting, breathing_mm: float, grid: Grid
) -> None:
    """Give a focus its density where it lies on the CT."""
    density = _density(focus.shape.placed, setting.enhancement)
    if density is None:
        return
    own = focus.motion_mm / breathing_mm if breathing_mm else 0.0
    x, y, z = setting.motion_mm
    fine = _moved(focus.shape.grid, (x, y, z + own * setting.breath_mm))
    start = np.array(fine.origin_mm)
    box = grid.box(start, start + (np.array(fine.shape) - 1) * fine.spacing_mm)
    share = sample_linear(focus.shape.occupancy, fine, grid.crop(box))
    volume[box] += share * (np.float32(density) - volume[box])


def _density(placed: PlacedFocus, enhancement: float) -> float | None:
    """Return the HU of a focus; that of soft tissue is given for the usual contrast enhancement."""
    hu = placed.focus.hu
    if hu is None or hu > _SOFT_HU or placed.region.is_bone or not placed.focus.suspicious:
        return hu
    return hu + (enhancement - 1) * scanner_table().ct.lesion_enhancement_hu


def _moved(grid: Grid, by_mm: tuple[float, float, float]) -> Grid:
    x, y, z = (float(start + step) for start, step in zip(grid.origin_mm, by_mm, strict=True))
    return replace(grid, origin_mm=(x, y, z))
