"""Uptake of normal organs: drawn per patient from published or measured statistics of each tracer.

Each organ has a distribution of its own; how organs rise and fall together comes from a matrix of correlations between
the normal scores of their uptake (a Gaussian copula).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import stats

from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.tables import Row, read_table, tissues

# Scores beyond this many SD are cut off.
_LARGEST_SCORE = 2.5
_LEAST_EIGENVALUE = 1e-4

Scores = NDArray[np.float64]


class OrganUptake(Row):
    """SUVmean of one organ as (mean, SD) by tracer, and how it moves with others.

    ``quantiles`` holds SUVmean at the levels of :func:`uptake_levels` where the shape was measured; else the
    distribution is log-normal. ``texture`` is the log SD of the uptake inside the organ as (median, log SD between
    patients), ``tissue_texture`` what it is multiplied by in single tissues of the organ, ``sides`` mean and SD of
    log(left / right) of a paired organ. ``texture_source`` and ``sides_source`` say where those come from.
    """

    organ: str
    group: str | None
    correlation: float
    sink: bool
    recovery: float
    suv: dict[Tracer, tuple[float, float]]
    quantiles: dict[Tracer, tuple[float, ...]] = Field(default_factory=dict)
    texture: dict[Tracer, tuple[float, float]] = Field(default_factory=dict)
    tissue_texture: dict[str, float] = Field(default_factory=dict)
    sides: tuple[float, float] = (0.0, 0.0)
    source: str
    texture_source: str = ""
    sides_source: str = ""

    def at(self, tracer: Tracer, score: float) -> float:
        """Return the SUVmean at a normal score."""
        known = self.quantiles.get(tracer)
        if known is None:
            return _log_normal(*self.suv[tracer], score)
        return float(np.exp(_interpolated(score, stats.norm.ppf(uptake_levels()), np.log(known))))


class Correlation(Row):
    """Measured correlations of normal scores between organs, for these tracers: pairs of organs and a coefficient."""

    tracers: tuple[Tracer, ...]
    source: str
    pairs: tuple[tuple[str, str, float], ...]


class TumourSink(Row):
    """How a large tumour takes the tracer away from organs; volume in ml."""

    source: str
    slope: float
    volume_ml: float
    floor: float

    def factor(self, tumour_ml: float) -> float:
        """Return what is left of an organ's uptake.

        Example:
            >>> TumourSink(source="", slope=0.25, volume_ml=500, floor=0.4).factor(4500)
            0.75
        """
        return max(self.floor, 1 - self.slope * float(np.log10(1 + tumour_ml / self.volume_ml)))


@cache
def organ_uptakes() -> dict[str, OrganUptake]:
    """Return every organ of ``biodistribution.json`` by name."""
    rows = read_table("biodistribution.json")["organs"]
    return {row["organ"]: OrganUptake.model_validate(row) for row in rows}


@cache
def tumour_sink() -> TumourSink:
    """Return the tumour sink of ``biodistribution.json``."""
    return TumourSink.model_validate(read_table("biodistribution.json")["tumour_sink"])


@cache
def uptake_levels() -> tuple[float, ...]:
    """Return the probabilities at which the quantiles of ``biodistribution.json`` are given."""
    return tuple(read_table("biodistribution.json")["levels"])


@cache
def score_factor(tracer: Tracer) -> Scores:
    """Return the matrix (organs, organs) that turns independent normal scores into those of the organs.

    Organs of a group share what their ``correlation`` says; measured pairs go before that. Where the pairs contradict
    each other the nearest matrix without negative eigenvalues is taken.
    """
    organs = organ_uptakes()
    place = {name: number for number, name in enumerate(organs)}
    share = np.array([np.sqrt(row.correlation) for row in organs.values()])
    group = np.array([row.group or "" for row in organs.values()])
    matrix = np.outer(share, share) * ((group[:, None] == group) & (group != ""))
    for table in read_table("biodistribution.json")["correlations"]:
        row = Correlation.model_validate(table)
        for one, other, value in row.pairs if tracer in row.tracers else ():
            matrix[place[one], place[other]] = matrix[place[other], place[one]] = value
    np.fill_diagonal(matrix, 1.0)
    values, vectors = np.linalg.eigh(matrix)
    factor = vectors * np.sqrt(np.maximum(values, _LEAST_EIGENVALUE))
    return np.asarray(factor / np.linalg.norm(factor, axis=1, keepdims=True))


def draw_uptake(rng: np.random.Generator, tracer: Tracer, tumour_ml: float, furosemide: bool) -> dict[str, float]:
    """Draw the SUVmean (g/ml) that each organ shows in a patient with this volume of tumour."""
    organs = organ_uptakes()
    scores = score_factor(tracer) @ rng.standard_normal(len(organs))
    scores = np.clip(scores, -_LARGEST_SCORE, _LARGEST_SCORE)
    sink = tumour_sink().factor(tumour_ml)
    uptake = {
        name: row.at(tracer, float(score)) * (sink if row.sink else 1.0)
        for (name, row), score in zip(organs.items(), scores, strict=True)
    }
    if not furosemide:
        uptake["bladder"] = uptake["bladder_without_furosemide"]
    del uptake["bladder_without_furosemide"]
    return uptake


def activity_by_tissue(uptake: Mapping[str, float]) -> NDArray[np.float32]:
    """Return the true SUV of each tissue label, so that the blurred image shows the organs' drawn uptake."""
    organs = organ_uptakes()
    values = [0.0 if t.organ is None else uptake[t.organ] / organs[t.organ].recovery for t in tissues()]
    return np.array(values, dtype=np.float32)


def _log_normal(mean: float, sd: float, score: float) -> float:
    """Return the value at a standard score of the log-normal distribution with this mean and SD."""
    spread = float(np.sqrt(np.log1p((sd / mean) ** 2)))
    return float(mean * np.exp(spread * score - spread**2 / 2))


def _interpolated(x: float, places: Scores, values: Scores) -> float:
    """Interpolate linearly; beyond the ends the first and the last line go on."""
    piece = int(np.clip(np.searchsorted(places, x), 1, len(places) - 1))
    share = (x - places[piece - 1]) / (places[piece] - places[piece - 1])
    return float(values[piece - 1] + share * (values[piece] - values[piece - 1]))
