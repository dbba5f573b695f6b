"""Which contour convention the outlines of a data set follow, judged by the SUV at which they run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.contour import ContourConvention, contour_rules
from fedpsma.site_check.limits import limits
from fedpsma.site_check.problems import CheckedStudy


@dataclass(frozen=True)
class OutlineHabit:
    """How the outlines of ``lesions`` lesions run: medians and spreads (interquartile range of the logarithm).

    ``edge_suv`` is the SUV at the outline, ``fraction`` the same over the lesion's SUVmax.
    """

    lesions: int
    edge_suv: float
    edge_spread: float
    fraction: float
    fraction_spread: float

    @property
    def suggested(self) -> ContourConvention | None:
        """The fixed or relative threshold that the outlines follow closely; ``None`` for a reader's or the liver's."""
        rules = limits().rules
        fixed, relative = rules.contour_fixed_spread.value, rules.contour_fraction_spread.value
        if self.fraction_spread <= relative and self.fraction_spread / relative <= self.edge_spread / fixed:
            return self._nearest("fraction", self.fraction)
        return self._nearest("fixed", self.edge_suv) if self.edge_spread <= fixed else None

    def agrees_with(self, convention: ContourConvention) -> bool:
        """Tell whether the outlines can follow a convention; a reader's and the liver's are never contradicted."""
        rule, allowed = contour_rules()[convention], limits().rules
        if rule.kind == "fixed":
            return abs(log(self.edge_suv / rule.value)) <= allowed.contour_fixed_tolerance.value
        if rule.kind == "fraction":
            return abs(self.fraction - rule.value) <= allowed.contour_fraction_tolerance.value
        return True

    def _nearest(self, kind: str, value: float) -> ContourConvention | None:
        rows = [rule for rule in contour_rules().values() if rule.kind == kind]
        nearest = min(rows, key=lambda rule: abs(log(value / rule.value)))
        return nearest.convention if self.agrees_with(nearest.convention) else None


def outline_habit(studies: Iterable[CheckedStudy]) -> OutlineHabit | None:
    """Measure how outlines run; ``None`` where fewer lesions than the limits ask for are large enough to show it."""
    rules = limits().rules
    masks = (study.facts.mask for study in studies if study.is_suv and study.mask_misfit is None)
    lesions = (lesion for mask in masks if mask is not None for lesion in mask.lesions)
    pairs = [
        (one.edge_suv, one.suvmax)
        for one in lesions
        if one.volume_ml >= rules.contour_least_ml.value and one.edge_suv is not None and one.edge_suv > 0
    ]
    if len(pairs) < rules.contour_least_lesions.value:
        return None
    edges, highest = np.array(pairs).T
    return OutlineHabit(
        lesions=len(edges),
        edge_suv=float(np.median(edges)),
        edge_spread=_spread(edges),
        fraction=float(np.median(edges / highest)),
        fraction_spread=_spread(edges / highest),
    )


def _spread(values: NDArray[np.float64]) -> float:
    low, high = np.quantile(np.log(values), [0.25, 0.75])
    return float(high - low)
