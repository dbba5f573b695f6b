"""Every figure of an evaluation, by name, for all draws of patients at once; titles and sources: data/figures.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.assessment import MiTnm
from fedpsma.evaluation.agreement import PairedMoments, confusion, weighted_kappa
from fedpsma.evaluation.bootstrap import Values, Weights, median
from fedpsma.evaluation.calibration import Forecasts
from fedpsma.evaluation.detection import FALSE_POSITIVES_PER_SCAN
from fedpsma.evaluation.ratios import ratio_figures, rule_suffix
from fedpsma.evaluation.sample import Sample
from fedpsma.evaluation.stages import (
    M_LEVELS,
    N_LEVELS,
    T_LEVELS,
    m_level,
    n_level,
    t_level,
)

ALLOWED = tuple(sorted({*FALSE_POSITIVES_PER_SCAN, 1.5}))
"""False positives a scan at which sensitivity is given; 1.5 is where Capobianco 2022 report theirs."""

Figures = dict[str, Values]


class Anchor(BaseModel):
    """A published value to hold a figure against; never the same data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float | None = None
    high: float | None = None
    source: str
    tag: str


class FigureFacts(BaseModel):
    """One row of ``data/figures.json``; ``aim`` is the project's own, on synthetic patients."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    section: Literal[
        "segmentation", "volume", "detection", "reading", "location", "staging", "ceiling", "calibration", "origin"
    ]
    title: str
    better: Literal["higher", "lower", "zero"]
    unit: Literal["share", "number", "ml"]
    headline: bool = False
    aim: float | None = None
    anchor: Anchor | None = None

    def reached(self, value: float) -> bool | None:
        """Tell whether a value reaches the aim; ``None`` without one."""
        if self.aim is None:
            return None
        return value >= self.aim if self.better == "higher" else value <= self.aim


@cache
def figure_facts() -> tuple[FigureFacts, ...]:
    """Return what is known of every figure, in the order of the page."""
    return _Table.model_validate_json(
        resources.files(__package__).joinpath("data/figures.json").read_text("utf-8")
    ).figures


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    figures: tuple[FigureFacts, ...]


def measure(sample: Sample, weights: Weights) -> Figures:
    """Compute every figure that the sample allows.

    Args:
        sample: The studies of one model.
        weights: Draws of its patients, see :data:`fedpsma.evaluation.bootstrap.Weights`.

    Returns:
        One array (1 + replicates,) a name; NaN where a draw does not define the figure. What the data do not know, or
        a mask without probabilities does not say, is left out.
    """
    found = {name: one.values(weights) for name, one in ratio_figures(sample).items()}
    found |= dict(_distributions(sample, weights)) | dict(_agreement(sample, weights))
    if sample.has_probabilities:
        found |= dict(_rankings(sample, weights)) | dict(_calibration(sample, weights))
    return {name: values for name, values in found.items() if np.isfinite(values[0])}


_Named = Iterator[tuple[str, Values]]


def _distributions(sample: Sample, weights: Weights) -> _Named:
    yield "dice_median", median(weights, sample.owner, sample.column(lambda study: study.dice))
    true, found = ([getattr(study, name) for study in sample.studies] for name in ("true_ml", "found_ml"))
    scans = PairedMoments.of(weights, sample.owner, true, found)
    low, high = scans.limits_of_agreement()
    yield "volume_ccc", scans.concordance()
    yield "volume_bias_ml", scans.bias()
    yield "volume_lower_limit_ml", low
    yield "volume_upper_limit_ml", high
    pairs = [(one.volume_ml, one.found_ml) for one in sample.lesions if one.found_ml is not None]
    owner = sample.lesion_owner[[one.found_ml is not None for one in sample.lesions]]
    lesions = PairedMoments.of(weights, owner, [one for one, _ in pairs], [one for _, one in pairs])
    yield "lesion_volume_ccc", lesions.concordance()
    yield "lesion_volume_bias_ml", lesions.bias()


def _rankings(sample: Sample, weights: Weights) -> _Named:
    """Yield what needs a ranking, which masks alone do not give."""
    for rule in sample.rules:
        suffix, pooled = rule_suffix(rule), sample.pooled(rule)
        yield f"average_precision{suffix}", pooled.average_precision(weights)
        for rate, values in zip(ALLOWED, pooled.sensitivity_at(weights, ALLOWED).T, strict=True):
            yield f"sensitivity_at_{rate:g}{suffix}", values


def _agreement(sample: Sample, weights: Weights) -> _Named:
    for name, level, order in (("t", t_level, T_LEVELS), ("n", n_level, N_LEVELS), ("m", m_level, M_LEVELS)):
        yield f"{name}_kappa", _kappa(sample, weights, level, order)


def _kappa(sample: Sample, weights: Weights, level: Callable[[MiTnm], str], order: Sequence[str]) -> Values:
    tables = np.zeros((weights.shape[1], len(order), len(order)))
    for owner, one in zip(sample.stage_owner, sample.stages, strict=True):
        tables[owner] += confusion([level(one.true)], [level(one.found)], order)
    return weighted_kappa(np.tensordot(weights, tables, axes=1))


def _calibration(sample: Sample, weights: Weights) -> _Named:
    forecasts = forecasts_of(sample)
    yield "calibration_error", forecasts.calibration_error(weights)
    # No interval: the thresholds themselves are chosen on the sample.
    yield "undecided_at_95", np.array([forecasts.undecided_at()])


def forecasts_of(sample: Sample) -> Forecasts:
    """Return the probabilities of all foci with what is true of them."""
    foci = sample.foci
    return Forecasts.of([one.probability for one in foci], [one.is_lesion for one in foci], sample.focus_owner)
