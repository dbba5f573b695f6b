"""Which voxels of a focus belong to the lesion, by the contour convention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.contour import ContourRule, threshold_suv
from fedpsma.lesions.foci import Focus
from fedpsma.lesions.geometry import Mask


@dataclass(frozen=True)
class OrganUptake:
    """Mean and standard deviation of the SUV (g/ml) in a reference organ."""

    mean: float
    sd: float


def outline(
    focus: Focus,
    rule: ContourRule,
    pet: NDArray[np.float32],
    *,
    in_bone: bool,
    liver: OrganUptake | None,
) -> Mask:
    """Return the lesion's voxels by a threshold, a mask inside ``focus.box``; ``pet`` (SUV) is the whole volume.

    The mask is empty where the convention gives the focus no extent: its SUVmax is below a fixed threshold, the liver
    was not measurable, or the rule is adaptive (see :mod:`fedpsma.lesions.edges`).
    """
    mean, sd = (None, None) if liver is None else (liver.mean, liver.sd)
    suv = threshold_suv(rule.convention, focus.suvmax, mean, sd, in_bone=in_bone)
    return np.zeros_like(focus.basin) if suv is None else focus.above(pet, suv)
