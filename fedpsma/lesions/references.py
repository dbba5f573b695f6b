"""Uptake of the reference organs, measured where the anatomical map finds them and away from suspected tumour."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.exam import ReferenceSuv
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.lesions.aorta import aortic_lumen
from fedpsma.lesions.contours import OrganUptake
from fedpsma.lesions.geometry import (
    FACES_AND_EDGES,
    FWHM_PER_SIGMA,
    Box,
    Mask,
    bounding_box,
    depth_mm,
    grown,
    indices_of,
    neighbourhood,
    voxels_in,
    world_mm,
)
from fedpsma.lesions.policy import policy

_NOT_NORMAL_FROM = 0.2
_BESIDE_THE_AORTA = ("thoracic_spine", "lumbar_spine")


@dataclass(frozen=True)
class UptakeRatios:
    """Lesion over reference (TLR: tumour to liver, TBR: to blood pool; DCM 126039); ``None`` without the reference.

    Reports differ in the SUV of the lesion that they divide; here it is SUVmax, as in the expression score
    (UNCONFIRMED, project policy).
    """

    liver: float | None = None
    spleen: float | None = None
    blood_pool: float | None = None
    parotid: float | None = None


@dataclass(frozen=True)
class References:
    """SUV in the reference organs; ``None`` where an organ is absent, too small or involved."""

    liver: OrganUptake | None = None
    spleen: OrganUptake | None = None
    blood_pool: OrganUptake | None = None
    parotid: OrganUptake | None = None

    def ratios(self, suv: float) -> UptakeRatios:
        """Return a lesion's SUV over the SUVmean of each organ.

        Example:
            >>> References(liver=OrganUptake(5.0, 0.5)).ratios(12.5).liver
            2.5
        """
        organs = {one.name: getattr(self, one.name) for one in fields(UptakeRatios)}
        return UptakeRatios(**{name: suv / one.mean for name, one in organs.items() if one is not None and one.mean})

    def as_suv(self, digits: int = 2) -> ReferenceSuv:
        """Return the means as the exam holds them."""
        names = ("liver", "spleen", "blood_pool", "parotid")
        organs = {name: getattr(self, name) for name in names}
        return ReferenceSuv(**{name: round(one.mean, digits) for name, one in organs.items() if one is not None})


def measure_references(study: Study, prediction: VoxelPrediction) -> References:
    """Measure liver, spleen, blood pool and parotid glands as ``data/policy.json`` says."""
    limits = policy().references
    return References(
        liver=_liver(study, prediction, limits.liver_sphere_mm / 2),
        spleen=_spleen(study, prediction, limits.spleen_sphere_mm / 2),
        blood_pool=_blood_pool(study, prediction),
        parotid=_parotid(study, prediction),
    )


@dataclass(frozen=True)
class _Organ:
    """The voxels of an organ that are not near suspected ones, inside ``box``."""

    box: Box
    mask: Mask


def _organ(study: Study, prediction: VoxelPrediction, name: str) -> _Organ | None:
    mask = prediction.anatomy == anatomy_number(name)
    found = bounding_box(mask)
    if found is None:
        return None
    around = grown(found, voxels_in(policy().references.clearance_mm, study.spacing_mm), mask.shape)
    return _Organ(around, mask[around] & ~_suspected(study, prediction, around))


def _smoothed(mask: Mask, study: Study) -> Mask:
    return np.asarray(_blurred(mask.astype(np.float32), study) >= 0.5, dtype=bool)


def _blurred(volume: NDArray[np.float32], study: Study) -> NDArray[np.float32]:
    sigma = policy().references.smoothing_mm / FWHM_PER_SIGMA
    return np.asarray(ndimage.gaussian_filter(volume, [sigma / step for step in study.spacing_mm]), dtype=np.float32)


def _typical(study: Study, box: Box, mask: Mask) -> Mask:
    """Return the voxels whose uptake, without its noise, is near the median of the deeper half: the rim is mixed."""
    if not mask.any():
        return mask
    suv, depth = _blurred(study.pet[box], study), depth_mm(mask, study.spacing_mm)
    median = float(np.median(suv[mask & (depth >= np.median(depth[mask]))]))
    return np.asarray(mask & (np.abs(suv - median) <= policy().references.typical_within * median), dtype=bool)


def _suspected(study: Study, prediction: VoxelPrediction, box: Box) -> Mask:
    """Return what lies near suspected tumour."""
    clearance = policy().references.clearance_mm
    return neighbourhood(prediction.suspicious[box] >= _NOT_NORMAL_FROM, clearance, study.spacing_mm)


def _solid(study: Study, prediction: VoxelPrediction, name: str) -> _Organ | None:
    """Return an organ of even uptake without stray pieces and other parts that the map takes for it by mistake."""
    organ = _organ(study, prediction, name)
    if organ is None:
        return None
    even = _typical(study, organ.box, _smoothed(organ.mask, study))
    pieces, _ = ndimage.label(even, structure=FACES_AND_EDGES)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = sizes >= policy().references.least_piece * sizes.max()
    return _Organ(organ.box, np.asarray(kept[pieces] & even, dtype=bool)) if even.any() else None


def _liver(study: Study, prediction: VoxelPrediction, radius_mm: float) -> OrganUptake | None:
    """Measure a sphere in the right lobe: to the right of the middle of the liver's extent."""
    organ = _solid(study, prediction, "liver")
    if organ is None:
        return None
    to_the_right = world_mm(study.affine, indices_of(organ.mask, organ.box))[:, 0]
    depth = depth_mm(organ.mask, study.spacing_mm)
    allowed = np.zeros_like(organ.mask)
    allowed[organ.mask] = to_the_right >= (to_the_right.min() + to_the_right.max()) / 2
    return _sphere_at(study, organ.box, np.where(allowed, depth, 0.0), radius_mm)


def _spleen(study: Study, prediction: VoxelPrediction, radius_mm: float) -> OrganUptake | None:
    organ = _solid(study, prediction, "spleen")
    return None if organ is None else _sphere_at(study, organ.box, depth_mm(organ.mask, study.spacing_mm), radius_mm)


def _sphere_at(study: Study, box: Box, depth: NDArray[np.float64], radius_mm: float) -> OrganUptake | None:
    """Measure the sphere round the deepest voxel; ``None`` where it would not fit into the organ."""
    if depth.size == 0 or depth.max() < radius_mm:
        return None
    centre = np.array(np.unravel_index(int(depth.argmax()), depth.shape))
    grid = [
        ((np.arange(size) - at) * step) ** 2
        for size, at, step in zip(depth.shape, centre, study.spacing_mm, strict=True)
    ]
    inside = grid[0][:, None, None] + grid[1][None, :, None] + grid[2][None, None, :] <= radius_mm**2
    return _uptake(study.pet[box][inside])


def _blood_pool(study: Study, prediction: VoxelPrediction) -> OrganUptake | None:
    """Measure the lumen of the aorta, away from its wall and from the heart."""
    vessels = prediction.anatomy == anatomy_number("blood_pool")
    found = bounding_box(vessels)
    if found is None:
        return None
    box = grown(found, voxels_in(policy().aorta.from_spine_mm, study.spacing_mm), study.pet.shape)
    spine = np.isin(prediction.anatomy[box], [anatomy_number(name) for name in _BESIDE_THE_AORTA])
    lumen = aortic_lumen(_smoothed(vessels[box], study), _smoothed(spine, study), study.spacing_mm)
    lumen = _typical(study, box, lumen & ~_suspected(study, prediction, box))
    if lumen.sum() * study.voxel_ml < policy().references.blood_pool_min_ml:
        return None
    return _uptake(study.pet[box][lumen])


def _parotid(study: Study, prediction: VoxelPrediction) -> OrganUptake | None:
    """Measure each gland inside its isocontour and take the mean of those that are large enough.

    The contour is a share of the maximum without noise, so that neither a hot voxel nor the rim of a neighbour sets it.
    """
    limits = policy().references
    organ = _organ(study, prediction, "parotid")
    if organ is None:
        return None
    pet = study.pet[organ.box]
    smooth = _blurred(pet, study)
    pieces, _ = ndimage.label(organ.mask, structure=FACES_AND_EDGES)
    sizes = np.bincount(pieces.ravel())[1:]
    glands = []
    for number in 1 + np.argsort(-sizes, kind="stable")[:2]:
        gland = pieces == number
        core = gland & (pet >= limits.parotid_fraction * smooth[gland].max())
        if core.sum() * study.voxel_ml >= limits.parotid_min_ml:
            glands.append(_uptake(pet[core]))
    if not glands:
        return None
    return OrganUptake(float(np.mean([gland.mean for gland in glands])), float(np.mean([gland.sd for gland in glands])))


def _uptake(values: NDArray[np.float32]) -> OrganUptake:
    return OrganUptake(float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)))
