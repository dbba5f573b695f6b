"""Average precision and FROC across sites, from histograms of scores, with intervals from a second exchange.

First each site tells how many candidates that hit, candidates that do not, and found lesions lie where on the scale of
scores. Then it gets the sum over all sites back, works out how much each of its patients moves a figure (the influence
of the patient, numerically) and tells the sum of them and of their squares, which give the linearised variance (Efron
1982, the infinitesimal jackknife).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.evaluation.detection import FALSE_POSITIVES_PER_SCAN, ScanDetections
from fedpsma.evaluation.sample import Sample
from fedpsma.federated.disclosure import LEAST_PATIENTS
from fedpsma.federated.scores import Floats, Run, Scored, runs_of, spread
from fedpsma.lesions.facts import log_odds

_HIT, _MISS, _FOUND = range(3)
_KINDS = 3
_SMALL = 1e-3
AVERAGE_PRECISION = "average_precision"


class RankingTold(BaseModel):
    """What a site tells first: the histogram by hit, miss and found lesion, and the sums that belong to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: tuple[Run, ...]
    lesions: int
    scans: int


class InfluenceTold(BaseModel):
    """What a site tells next: by figure, the sum of the influences of its ``patients``, and of their squares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patients: int
    sums: dict[str, float]
    squares: dict[str, float]

    def variance(self, name: str) -> float:
        """Return what the site adds to the variance of a figure of all sites together."""
        around = self.squares[name] - self.sums[name] ** 2 / self.patients
        return max(0.0, around) * self.patients / max(1, self.patients - 1)


@dataclass(frozen=True)
class Ranking:
    """Candidates and found lesions along the scale of scores (3, bins), with all lesions and scans."""

    table: Floats
    lesions: float
    scans: float

    def moved(self, other: Ranking, share: float) -> Ranking:
        """Return this ranking with a share of another one added."""
        table = self.table + share * other.table
        return Ranking(table, self.lesions + share * other.lesions, self.scans + share * other.scans)

    def figures(self) -> dict[str, float]:
        """Return average precision, and sensitivity at each number of false positives a scan; NaN without a lesion."""
        if self.lesions <= 0:
            return {name: float("nan") for name in ranking_figures()}
        hits, misses, found = np.cumsum(self.table[:, ::-1], axis=1)
        taken = hits + misses
        recall = found / self.lesions
        area = float(np.sum(np.diff(recall, prepend=0.0) * _mean_precision(hits, taken)))
        rates = np.append(0.0, misses / self.scans)
        reached = np.interp(FALSE_POSITIVES_PER_SCAN, rates, np.append(0.0, recall))
        return dict(zip(ranking_figures(), (area, *map(float, reached)), strict=True))


def _mean_precision(hits: Floats, taken: Floats) -> Floats:
    """Return the precision inside each bin, the mean of both its ends.

    At its lower end alone it would be that of candidates with equal scores, which is too low: 0.017 of average
    precision on made-up patients, instead of 0.003.
    """
    known = taken > 0
    lower = np.divide(hits, taken, out=np.zeros_like(hits), where=known)
    upper = np.where(np.append(False, known[:-1]), np.append(0.0, lower[:-1]), lower)
    return np.asarray((lower + upper) / 2)


def ranking_figures() -> tuple[str, ...]:
    """Return the names of the figures that come from a ranking.

    Example:
        >>> ranking_figures()[:2]
        ('average_precision', 'sensitivity_at_0.5')
    """
    return (AVERAGE_PRECISION, *(f"sensitivity_at_{rate:g}" for rate in FALSE_POSITIVES_PER_SCAN))


def ranking_of(sample: Sample) -> RankingTold | None:
    """Return what a site tells first; ``None`` where fewer than five of its patients have a lesion."""
    patients_with = {int(owner) for owner in sample.lesion_owner}
    runs = runs_of(_scored(sample), _KINDS)
    if len(patients_with) < LEAST_PATIENTS or not runs:
        return None
    return RankingTold(runs=runs, lesions=len(sample.lesions), scans=len(sample.studies))


def pooled_ranking(sites: Sequence[RankingTold]) -> Ranking:
    """Add up what the sites told."""
    table = spread([one.runs for one in sites], _KINDS)
    return Ranking(table, float(sum(one.lesions for one in sites)), float(sum(one.scans for one in sites)))


def influence_of(sample: Sample, pooled: Ranking) -> InfluenceTold | None:
    """Return what a site tells next; ``None`` where it told nothing first."""
    if ranking_of(sample) is None:
        return None
    scored, base = _scored(sample), pooled.figures()
    sums, squares = dict.fromkeys(base, 0.0), dict.fromkeys(base, 0.0)
    for patient in range(sample.patients):
        own = Ranking(
            scored.table(_KINDS, patient),
            float(np.count_nonzero(sample.lesion_owner == patient)),
            float(np.count_nonzero(sample.owner == patient)),
        )
        for name, value in pooled.moved(own, _SMALL).figures().items():
            influence = (value - base[name]) / _SMALL
            sums[name] += influence
            squares[name] += influence**2
    return InfluenceTold(patients=sample.patients, sums=sums, squares=squares)


def _scored(sample: Sample) -> Scored:
    scores: list[float] = []
    kinds: list[int] = []
    patients: list[int] = []
    for study, owner in zip(sample.studies, sample.owner.tolist(), strict=True):
        for score, kind in _records(study.detections("overlap")):
            scores.append(log_odds(score))
            kinds.append(kind)
            patients.append(owner)
    return Scored(np.array(scores), np.array(kinds, dtype=np.intp), np.array(patients, dtype=np.intp))


def _records(scan: ScanDetections) -> list[tuple[float, int]]:
    candidates = [(float(score), _HIT if hit else _MISS) for score, hit in zip(scan.scores, scan.hits, strict=True)]
    return candidates + [(float(score), _FOUND) for score in scan.found_at if np.isfinite(score)]
