"""Liver and blood pool found by rules, without a network; ``None`` where the rules do not find them, never a guess.

Liver: the homogeneous region to one side of the body's middle with the largest volume times uptake, measured in the
most homogeneous 3 cm cube inside. Blood pool: the descending aorta, which the CT shows between the lungs, to the left
and in front of the thoracic vertebrae. Liver metastases, an oblique patient or contrast in the lung can defeat them,
and no clinician has reviewed them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.study import FloatVolume
from fedpsma.site_check.coarse import CoarseGrid, Mask
from fedpsma.site_check.limits import limits

# All [P], chosen on synthetic patients and one real FDG scan.
_CUBE_MM, _SMOOTH_MM = 28.0, 4.0
_HOMOGENEOUS_CV = 0.15
_RAISED_OVER_BACKGROUND = 2.2
_BAND, _STEP = 1.5, 1.2
_LEAST_LIVER_ML = 120.0
_OFF_MIDDLE_MM = 25.0

_BODY_HU, _LUNG_HU = -400.0, -500.0
_LUNG_ML = 300.0
_LUNG_SHARE = 0.4
_BONE_HU, _BLOOD_HU = 180.0, (-30.0, 350.0)
_NEAR_MIDDLE_MM = 30.0
_BEHIND = 0.6
_AORTA_FROM_VERTEBRA_MM = (-24.0, 18.0)
_AORTA_REACH_MM, _AORTA_RADIUS_MM = 22.0, (6.0, 13.0)
_PULL = 0.15
_LEAST_AORTA_MM, _LEAST_AORTA_SHARE = 60.0, 0.5


@dataclass(frozen=True)
class FoundOrgan:
    """Uptake (SUV) of an organ as mean and SD, the voxel (x, y, z) of the coarse grid it was taken at, and its side."""

    mean: float
    sd: float
    centre: tuple[int, int, int]
    side: Literal["R", "L"]


@dataclass(frozen=True)
class _Texture:
    """Mean and coefficient of variation of the smoothed PET in the cube around each voxel, and where the body is."""

    mean: FloatVolume
    cv: FloatVolume
    background: float
    middle_x: float


@dataclass(frozen=True)
class _Region:
    level: float
    volume_ml: float
    offset_mm: float
    voxels: Mask


def find_liver(pet: FloatVolume, grid: CoarseGrid) -> FoundOrgan | None:
    """Find the liver in a PET (x, y, z) of any unit on the coarse grid.

    It may be found on the left: then the volume is mirrored, or the patient has a situs inversus. Only a field that
    could hold trunk and liver is searched: in a crop round a leg, muscle or a tumour passes for it.
    """
    if not _holds_a_trunk(pet, grid):
        return None
    texture = _texture(pet, grid)
    if texture is None:
        return None
    region = max(_regions(texture, grid), key=lambda one: one.volume_ml * one.level, default=None)
    if region is None or region.volume_ml < _LEAST_LIVER_ML:
        return None
    at = np.unravel_index(int(np.where(region.voxels, texture.cv, np.inf).argmin()), pet.shape)
    centre = (int(at[0]), int(at[1]), int(at[2]))
    values = _cube(pet, centre, grid)
    return FoundOrgan(float(values.mean()), float(values.std()), centre, "R" if region.offset_mm > 0 else "L")


def attenuation_at(found: FoundOrgan, ct: FloatVolume, grid: CoarseGrid) -> float:
    """Return the mean attenuation (HU) of the 3 cm cube in which an organ was found."""
    return float(_cube(ct, found.centre, grid).mean())


def _holds_a_trunk(pet: FloatVolume, grid: CoarseGrid) -> bool:
    width, _, length = (count * edge for count, edge in zip(pet.shape, grid.spacing_mm, strict=True))
    rules = limits().rules
    return bool(width >= rules.small_width_mm.value and length >= rules.whole_body_mm.value)


def _texture(pet: FloatVolume, grid: CoarseGrid) -> _Texture | None:
    smooth = ndimage.gaussian_filter(pet, [_SMOOTH_MM / edge for edge in grid.spacing_mm])
    size = [2 * half + 1 for half in _half_cube(grid)]
    mean = ndimage.uniform_filter(smooth, size)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(smooth * smooth, size) - mean * mean, 0.0))
    warm = mean > 0.2 * float(mean.mean())
    if not warm.any():
        return None
    body = mean > 0.15 * float(mean[warm].mean())
    along_x = body.sum(axis=(1, 2))
    middle = float(along_x @ np.arange(pet.shape[0]) / along_x.sum())
    cv = spread / np.maximum(mean, np.finfo(np.float32).tiny)
    return _Texture(mean, np.where(body, cv, np.inf).astype(np.float32), float(np.median(smooth[body])), middle)


def _regions(texture: _Texture, grid: CoarseGrid) -> list[_Region]:
    """Return the homogeneous regions off the middle in each of many bands of uptake."""
    homogeneous = texture.cv < _HOMOGENEOUS_CV
    level = _RAISED_OVER_BACKGROUND * texture.background
    if level <= 0 or not homogeneous.any():
        return []
    highest = float(texture.mean[homogeneous].max())
    found = []
    while level < highest:
        band = homogeneous & (texture.mean >= level) & (texture.mean < _BAND * level)
        found.extend(_off_middle(band, level, texture.middle_x, grid))
        level *= _STEP
    return found


def _off_middle(band: Mask, level: float, middle_x: float, grid: CoarseGrid) -> list[_Region]:
    pieces, count = ndimage.label(band)
    volumes = np.bincount(pieces.ravel(), minlength=count + 1)[1:] * grid.voxel_ml
    found = []
    for number in np.flatnonzero(volumes >= _LEAST_LIVER_ML):
        voxels = pieces == number + 1
        along_x = voxels.sum(axis=(1, 2))
        offset = (along_x @ np.arange(len(along_x)) / along_x.sum() - middle_x) * grid.spacing_mm[0]
        if abs(offset) > _OFF_MIDDLE_MM:
            found.append(_Region(level, float(volumes[number]), float(offset), voxels))
    return found


def _half_cube(grid: CoarseGrid) -> tuple[int, int, int]:
    x, y, z = (max(1, round((_CUBE_MM / edge - 1) / 2)) for edge in grid.spacing_mm)
    return x, y, z


def _cube(volume: FloatVolume, centre: tuple[int, int, int], grid: CoarseGrid) -> FloatVolume:
    sides = tuple(slice(max(0, at - half), at + half + 1) for at, half in zip(centre, _half_cube(grid), strict=True))
    return volume[sides]


def find_blood_pool(pet: FloatVolume, ct: FloatVolume, grid: CoarseGrid) -> FoundOrgan | None:
    """Find the descending aorta on the CT (HU) and measure the PET in it, both (x, y, z) on the coarse grid."""
    lungs = find_lungs(ct, grid)
    if lungs is None:
        return None
    middle = float(lungs.sum(axis=(1, 2)) @ np.arange(ct.shape[0]) / lungs.sum())
    levels = _levels_with_both(lungs, middle)
    found = [(at, z) for z in levels if (at := _aorta_at(ct[:, :, z], lungs[:, :, z], middle, grid)) is not None]
    length = len(found) * grid.spacing_mm[2]
    if length < _LEAST_AORTA_MM or len(found) < _LEAST_AORTA_SHARE * len(levels):
        return None
    values = np.array([_neighbours(pet[:, :, z], at).mean() for at, z in found])
    (x, y), z = found[len(found) // 2]
    return FoundOrgan(float(np.median(values)), float(values.std()), (x, y, int(z)), "R" if x > middle else "L")


def find_lungs(ct: FloatVolume, grid: CoarseGrid) -> Mask | None:
    """Return the air inside the body in pieces of lung size; ``None`` where there is none."""
    body = body_of_ct(ct)
    pieces, count = ndimage.label(ndimage.binary_opening(body & (ct < _LUNG_HU)))
    large = np.bincount(pieces.ravel(), minlength=count + 1) * grid.voxel_ml > _LUNG_ML
    large[0] = False
    lungs = large[pieces]
    return lungs if lungs.any() else None


def body_of_ct(ct: FloatVolume) -> Mask:
    """Return the body in a CT (x, y, z): what is denser than air, without the table, filled slice by slice."""
    solid = ndimage.binary_opening(ct > _BODY_HU)
    filled = np.stack([ndimage.binary_fill_holes(solid[:, :, z]) for z in range(ct.shape[2])], axis=2)
    pieces, count = ndimage.label(filled)
    if count == 0:
        return np.asarray(filled)
    return np.asarray(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())


def _levels_with_both(lungs: Mask, middle: float) -> NDArray[np.intp]:
    """Return the slices in which both lungs are wide."""
    left = lungs[: int(middle)].sum(axis=(0, 1))
    right = lungs[int(middle) + 1 :].sum(axis=(0, 1))
    both = np.minimum(left, right)
    return np.flatnonzero((both > 0) & (both > _LUNG_SHARE * both.max()))


def _aorta_at(ct: FloatVolume, lungs: Mask, middle: float, grid: CoarseGrid) -> tuple[int, int] | None:
    """Return the voxel (x, y) in the aorta's middle in one slice: deepest in soft tissue near where it usually lies."""
    vertebra = _vertebra(ct, lungs, middle, grid)
    if vertebra is None:
        return None
    soft = (ct > _BLOOD_HU[0]) & (ct < _BLOOD_HU[1])
    depth = ndimage.distance_transform_edt(soft, sampling=grid.spacing_mm[:2])
    x = (np.arange(ct.shape[0]) - vertebra[0]) * grid.spacing_mm[0] - _AORTA_FROM_VERTEBRA_MM[0]
    y = (np.arange(ct.shape[1]) - vertebra[1]) * grid.spacing_mm[1] - _AORTA_FROM_VERTEBRA_MM[1]
    away = np.hypot(x[:, None], y[None, :])
    score = np.where(away < _AORTA_REACH_MM, np.minimum(depth, _AORTA_RADIUS_MM[1]) - _PULL * away, -np.inf)
    at = np.unravel_index(int(score.argmax()), score.shape)
    return (int(at[0]), int(at[1])) if depth[at] >= _AORTA_RADIUS_MM[0] else None


def _vertebra(ct: FloatVolume, lungs: Mask, middle: float, grid: CoarseGrid) -> tuple[float, float] | None:
    """Return the middle (x, y) of the bone near the midline in the back part of the chest."""
    rows = np.flatnonzero(lungs.any(axis=0))
    front = int(rows[0] + _BEHIND * (rows[-1] - rows[0]))
    near = np.abs(np.arange(ct.shape[0]) - middle) * grid.spacing_mm[0] < _NEAR_MIDDLE_MM
    x, y = np.nonzero((ct[:, :front] > _BONE_HU) & near[:, None])
    return None if len(x) < 5 else (float(x.mean()), float(y.mean()))


def _neighbours(slice_: FloatVolume, at: tuple[int, int]) -> FloatVolume:
    return slice_[max(0, at[0] - 1) : at[0] + 2, max(0, at[1] - 1) : at[1] + 2]
