"""Which voxels of a focus belong to the lesion, by the contour convention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.contour import ContourRule, threshold_suv
from fedpsma.lesions.foci import Focus
from fedpsma.lesions.geometry import Mask

_SHARE_OF_A_DOUBTFUL_FOCUS = 0.75


@dataclass(frozen=True)
class OrganUptake:
    """Mean and standard deviation of the SUV (g/ml) in a reference organ."""

    mean: float
    sd: float


def outline(
    focus: Focus,
    rule: ContourRule,
    pet: NDArray[np.float32],
    suspicious: NDArray[np.float32] | None,
    *,
    in_bone: bool,
    liver: OrganUptake | None,
) -> Mask:
    """Return the lesion's voxels, a mask inside ``focus.box``.

    ``pet`` (SUV) and ``suspicious`` (probability, which the network's own outline alone needs) are whole volumes
    (x, y, z). The mask is empty where the convention gives the focus no extent: its SUVmax is below a fixed threshold,
    or what draws the edge (the liver's uptake, the network) is missing.
    """
    if rule.kind == "network" and suspicious is not None:
        probability = suspicious[focus.box]
        highest = float(probability[focus.basin].max())
        threshold = min(rule.value, _SHARE_OF_A_DOUBTFUL_FOCUS * highest)
        return np.asarray(focus.basin & (probability >= threshold), dtype=bool)
    mean, sd = (None, None) if liver is None else (liver.mean, liver.sd)
    suv = threshold_suv(rule.convention, focus.suvmax, mean, sd, in_bone=in_bone)
    return np.zeros_like(focus.basin) if suv is None else focus.above(pet, suv)
