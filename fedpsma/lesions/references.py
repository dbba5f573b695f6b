"""Uptake of the reference organs, measured where the anatomical map finds them and away from suspected tumour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.exam import ReferenceSuv
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.lesions.contours import OrganUptake
from fedpsma.lesions.geometry import (
    FACES_AND_EDGES,
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

_SUSPECTED_FROM = 0.2


@dataclass(frozen=True)
class References:
    """SUV in the reference organs; ``None`` where an organ is absent, too small or involved."""

    liver: OrganUptake | None = None
    spleen: OrganUptake | None = None
    blood_pool: OrganUptake | None = None
    parotid: OrganUptake | None = None

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
        spleen=_sphere(study, _organ(study, prediction, "spleen"), limits.spleen_sphere_mm / 2),
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
    clearance = policy().references.clearance_mm
    around = grown(found, voxels_in(clearance, study.spacing_mm), mask.shape)
    suspected = neighbourhood(prediction.suspicious[around] >= _SUSPECTED_FROM, clearance, study.spacing_mm)
    return _Organ(around, mask[around] & ~suspected)


def _liver(study: Study, prediction: VoxelPrediction, radius_mm: float) -> OrganUptake | None:
    """Measure a sphere in the right lobe: to the right of the middle of the liver's extent."""
    organ = _organ(study, prediction, "liver")
    if organ is None or not organ.mask.any():
        return None
    to_the_right = world_mm(study.affine, indices_of(organ.mask, organ.box))[:, 0]
    depth = np.where(organ.mask, depth_mm(organ.mask, study.spacing_mm), 0.0)
    allowed = np.zeros_like(organ.mask)
    allowed[organ.mask] = to_the_right >= (to_the_right.min() + to_the_right.max()) / 2
    return _sphere_at(study, organ.box, np.where(allowed, depth, 0.0), radius_mm)


def _sphere(study: Study, organ: _Organ | None, radius_mm: float) -> OrganUptake | None:
    if organ is None:
        return None
    return _sphere_at(study, organ.box, depth_mm(organ.mask, study.spacing_mm), radius_mm)


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
    """Measure the lumen of heart and great vessels, away from the wall."""
    limits = policy().references
    organ = _organ(study, prediction, "blood_pool")
    if organ is None:
        return None
    lumen = depth_mm(organ.mask, study.spacing_mm) >= limits.blood_pool_depth_mm
    if lumen.sum() * study.voxel_ml < limits.blood_pool_min_ml:
        return None
    return _uptake(study.pet[organ.box][lumen])


def _parotid(study: Study, prediction: VoxelPrediction) -> OrganUptake | None:
    """Measure each gland inside its isocontour and take the mean of those that are large enough."""
    limits = policy().references
    organ = _organ(study, prediction, "parotid")
    if organ is None:
        return None
    pet = study.pet[organ.box]
    pieces, _ = ndimage.label(organ.mask, structure=FACES_AND_EDGES)
    sizes = np.bincount(pieces.ravel())[1:]
    glands = []
    for number in 1 + np.argsort(-sizes, kind="stable")[:2]:
        gland = pieces == number
        core = gland & (pet >= limits.parotid_fraction * pet[gland].max())
        if core.sum() * study.voxel_ml >= limits.parotid_min_ml:
            glands.append(_uptake(pet[core]))
    if not glands:
        return None
    return OrganUptake(float(np.mean([gland.mean for gland in glands])), float(np.mean([gland.sd for gland in glands])))


def _uptake(values: NDArray[np.float32]) -> OrganUptake:
    return OrganUptake(float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)))
