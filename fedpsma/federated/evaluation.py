"""Federated evaluation: sites send sums over their patients, the coordinator gets figures with intervals.

A figure that is a ratio of two sums comes out exactly as from all patients pooled, with the linearised variance of a
ratio over patients, each site a stratum of its own (Cochran 1977, section 6.11): the sums of squares and products of
what each patient adds above and below are all it takes. The interval is about further patients of these sites, not
about further sites. Figures that need a ranking come from histograms (:mod:`fedpsma.federated.ranking`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.stats import t as student

from fedpsma.domain.contour import ContourConvention
from fedpsma.errors import InputError
from fedpsma.evaluation.bootstrap import LEVEL, Figure
from fedpsma.evaluation.figures import figure_facts
from fedpsma.evaluation.ratios import Ratio, ratio_figures
from fedpsma.evaluation.sample import Sample
from fedpsma.federated.disclosure import LEAST_PATIENTS, told
from fedpsma.federated.ranking import InfluenceTold, RankingTold, pooled_ranking, ranking_of


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sums(_Record):
    """Of a ratio figure over the ``patients`` that add something below: both sums, their squares and their product."""

    patients: int
    part: float
    whole: float
    part_squared: float
    whole_squared: float
    product: float

    def variance(self, ratio: float) -> float:
        """Return what the site adds to the variance of the sum of part minus ``ratio`` times whole over all sites."""
        squares = self.part_squared - 2 * ratio * self.product + ratio**2 * self.whole_squared
        around = squares - (self.part - ratio * self.whole) ** 2 / self.patients
        return max(0.0, around) * self.patients / max(1, self.patients - 1)

    def __add__(self, other: Sums) -> Sums:
        """Add what another site told."""
        mine, theirs = self.model_dump(), other.model_dump()
        return Sums.model_validate({name: mine[name] + theirs[name] for name in mine})


class SiteEvaluation(_Record):
    """What a site tells of a model on its patients; a figure of fewer than five patients is left out."""

    kind: Literal["evaluation"] = "evaluation"
    site: str
    synthetic: bool
    contour: ContourConvention
    model_sha256: str
    patients: int | None
    sums: dict[str, Sums]
    ranking: RankingTold | None


class FederatedFigures(_Record):
    """The figures of all sites together and of each, with 95 % intervals over patients.

    ``withheld`` counts for each figure the sites that told nothing of it.
    """

    model_sha256: str
    patients: int
    together: dict[str, Figure]
    sites: dict[str, dict[str, Figure]]
    withheld: dict[str, int]


def site_evaluation(
    sample: Sample, *, site: str, contour: ContourConvention, model_sha256: str, synthetic: bool = False
) -> SiteEvaluation:
    """Return what a site may tell of its scored studies."""
    sums = {name: sums_of(one, sample.patients) for name, one in ratio_figures(sample).items()}
    return SiteEvaluation(
        site=site,
        synthetic=synthetic,
        contour=contour,
        model_sha256=model_sha256,
        patients=told(sample.patients),
        sums={name: one for name, one in sums.items() if one.patients >= LEAST_PATIENTS},
        ranking=ranking_of(sample) if sample.has_probabilities else None,
    )


def sums_of(figure: Ratio, patients: int) -> Sums:
    """Return the sums of one figure over so many patients."""
    part, whole = figure.by_patient(patients)
    return Sums(
        patients=int(np.count_nonzero(whole)),
        part=float(part.sum()),
        whole=float(whole.sum()),
        part_squared=float(part @ part),
        whole_squared=float(whole @ whole),
        product=float(part @ whole),
    )


def federated_figures(sites: Sequence[SiteEvaluation]) -> FederatedFigures:
    """Return the ratio figures of all sites together and of each.

    Raises:
        InputError: There is no site, or two evaluated different models.
    """
    models = {one.model_sha256 for one in sites}
    if len(models) != 1:
        raise InputError(
            f"evaluated {len(models)} models", where="the sites", remedy="let all sites evaluate the same model"
        )
    names = [facts.name for facts in figure_facts() if any(facts.name in one.sums for one in sites)]
    together = {name: figure_of_sums(name, [one.sums[name] for one in sites if name in one.sums]) for name in names}
    return FederatedFigures(
        model_sha256=models.pop(),
        patients=sum(one.patients or 0 for one in sites),
        together=together,
        sites={one.site: {name: figure_of_sums(name, [one.sums[name]]) for name in one.sums} for one in sites},
        withheld={name: sum(name not in one.sums for one in sites) for name in names},
    )


def with_ranking(
    found: FederatedFigures, sites: Sequence[SiteEvaluation], influences: Sequence[InfluenceTold]
) -> FederatedFigures:
    """Add average precision and FROC of all sites together; without influences they have no interval."""
    told_first = [one.ranking for one in sites if one.ranking is not None]
    if not told_first:
        return found
    patients = sum(one.patients for one in influences)
    added = {}
    for name, value in pooled_ranking(told_first).figures().items():
        if len(influences) == len(told_first):
            deviation = math.sqrt(sum(one.variance(name) for one in influences))
            added[name] = interval(value, deviation, patients, share=True)
        else:
            added[name] = Figure(value=value)
    left_out = dict.fromkeys(added, len(sites) - len(told_first))
    return found.model_copy(
        update={"together": {**added, **found.together}, "withheld": {**found.withheld, **left_out}}
    )


def figure_of_sums(name: str, told_sums: Sequence[Sums]) -> Figure:
    """Return a figure by its name from what sites told of it."""
    total = told_sums[0]
    for one in told_sums[1:]:
        total = total + one
    if total.whole <= 0:
        return Figure(value=None)
    value = total.part / total.whole
    deviation = math.sqrt(sum(one.variance(value) for one in told_sums)) / total.whole
    return interval(value, deviation, total.patients, share=name in _shares())


def interval(value: float, deviation: float, patients: int, *, share: bool) -> Figure:
    """Return a value with its interval from its standard deviation over so many patients.

    The interval of a share is symmetric in log-odds. At 0 and 1, where patients do not differ, it reaches as far as a
    share that so many patients could all have missed (Clopper and Pearson 1934).
    """
    reach = float(student.ppf((1 + LEVEL) / 2, max(1, patients - 1)))
    if not share or not 0 <= value <= 1:
        return Figure(value=value, low=value - reach * deviation, high=value + reach * deviation)
    unseen = 1 - ((1 - LEVEL) / 2) ** (1 / max(1, patients))
    if value in (0.0, 1.0):
        return Figure(value=value, low=value * (1 - unseen), high=value + (1 - value) * unseen)
    middle, width = math.log(value / (1 - value)), reach * deviation / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-min(max(end, -500.0), 500.0))) for end in (middle - width, middle + width))
    return Figure(value=value, low=low, high=high)


def _shares() -> set[str]:
    return {facts.name for facts in figure_facts() if facts.unit == "share"}
