"""The contour conventions, one registry: which voxels of a focus belong to the lesion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.contour import ContourConvention
from fedpsma.lesions.foci import Focus
from fedpsma.lesions.geometry import Mask
from fedpsma.lesions.policy import ContourRule, policy

_SHARE_OF_A_DOUBTFUL_FOCUS = 0.75


@dataclass(frozen=True)
class OrganUptake:
    """Mean and standard deviation of the SUV (g/ml) in a reference organ."""

    mean: float
    sd: float


def contour_rule(convention: ContourConvention) -> ContourRule:
    """Return the rule of a convention; raises ``KeyError`` for a name that is not in ``data/policy.json``.

    Example:
        >>> contour_rule("pct45").value
        0.45
    """
    for rule in policy().contours:
        if rule.convention == convention:
            return rule
    raise KeyError(convention)


def suv_threshold(rule: ContourRule, suvmax: float, *, in_bone: bool, liver: OrganUptake | None) -> float | None:
    """Return the SUV from which voxels belong to a lesion with this ``suvmax``.

    ``None`` where the rule knows none: the network's own outline, or a liver that could not be measured.

    Example:
        >>> suv_threshold(contour_rule("pct41"), 10.0, in_bone=False, liver=None)
        4.1
    """
    if rule.kind == "fixed":
        return rule.value
    if rule.kind == "fraction":
        return round(rule.value * suvmax, 6)
    if rule.kind == "liver" and in_bone:
        return contour_rule("suv3").value
    if rule.kind == "liver" and liver is not None and liver.mean > 0:
        return rule.value / liver.mean * (liver.mean + liver.sd)
    return None


def outline(
    focus: Focus,
    rule: ContourRule,
    pet: NDArray[np.float32],
    suspicious: NDArray[np.float32],
    *,
    in_bone: bool,
    liver: OrganUptake | None,
) -> Mask:
    """Return the lesion's voxels, a mask inside ``focus.box``.

    ``pet`` (SUV) and ``suspicious`` (probability) are whole volumes (x, y, z). The mask is empty where the convention
    gives the focus no extent: its SUVmax is below a fixed threshold, or the liver was not measurable.
    """
    if rule.kind == "network":
        probability = suspicious[focus.box]
        highest = float(probability[focus.basin].max())
        threshold = min(rule.value, _SHARE_OF_A_DOUBTFUL_FOCUS * highest)
        return np.asarray(focus.basin & (probability >= threshold), dtype=bool)
    suv = suv_threshold(rule, focus.suvmax, in_bone=in_bone, liver=liver)
    return np.zeros_like(focus.basin) if suv is None else focus.above(pet, suv)
