"""Where a focus lies and how suspicious it is: pooled from the dense maps over its hot core."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.region import Region
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.lesions.foci import CORE_FRACTION, Focus
from fedpsma.lesions.geometry import Mask, enlarged, grown, voxels_in
from fedpsma.lesions.policy import policy

_LEAST_SUV = 1e-6


@dataclass(frozen=True)
class Place:
    """What the maps say of a focus: ``suspicion`` is the mean probability over its core, ``region`` the pooled vote.

    ``tumour_region`` has the most votes among the regions that are not normal uptake by themselves: where the focus
    lies if it is a tumour after all.
    """

    suspicion: float
    region: Region
    tumour_region: Region


def hot_core(focus: Focus, pet: NDArray[np.float32]) -> Mask:
    """Return the voxels of at least half the maximum, inside ``focus.box``.

    Suspicion and region are pooled here whatever convention draws the edge, so that the edge does not change them.
    """
    return focus.above(pet, CORE_FRACTION * focus.suvmax)


def place(focus: Focus, study: Study, prediction: VoxelPrediction) -> Place:
    """Pool suspicion and region of one focus."""
    core = hot_core(focus, study.pet)
    suspicion = float(prediction.suspicious[focus.box][core].mean(dtype=np.float64))
    votes = _votes_for(focus, core, study, prediction)
    elsewhere = {region: count for region, count in votes.items() if region.facts.site != "physiologic"}
    return Place(min(max(suspicion, 0.0), 1.0), _most(votes), _most(elsewhere))


def _most(votes: dict[Region, float]) -> Region:
    return max(votes, key=lambda region: (votes[region], region), default=Region.OTHER_SOFT_TISSUE)


def _votes_for(focus: Focus, core: Mask, study: Study, prediction: VoxelPrediction) -> dict[Region, float]:
    """Count votes by region: the core's voxels by their SUV, and fewer the farther what lies around."""
    limits = policy().votes
    around = grown(focus.box, voxels_in(limits.reach_mm, study.spacing_mm), study.pet.shape)
    hot = enlarged(core, focus.box, around)
    away = ndimage.distance_transform_edt(~hot, sampling=study.spacing_mm)
    beside = limits.beside * np.exp(-away / limits.fall_off_mm) * (away <= limits.reach_mm)
    return _votes(prediction.anatomy[around], np.where(hot, study.pet[around] / max(focus.suvmax, _LEAST_SUV), beside))


def _votes(classes: NDArray[np.uint8], weights: NDArray[np.float64]) -> dict[Region, float]:
    counted = np.bincount(classes.ravel(), weights=weights.ravel(), minlength=len(anatomy_classes()))
    votes: dict[Region, float] = defaultdict(float)
    for one, weight, count in zip(anatomy_classes(), _class_weights(), counted, strict=True):
        if one.region is not None and count * weight > 0:
            votes[one.region] += float(count * weight)
    return votes


@cache
def _class_weights() -> tuple[float, ...]:
    listed = policy().votes.weights
    unknown = set(listed) - {one.name for one in anatomy_classes()}
    if unknown:
        raise ValueError(f"data/policy.json: votes for classes that do not exist: {sorted(unknown)}")
    return tuple(listed.get(one.name, _weight_of(one.region)) for one in anatomy_classes())


def _weight_of(region: Region | None) -> float:
    small = region is not None and (region.is_bone or region.is_node)
    return policy().votes.bone_or_node if small else 1.0
