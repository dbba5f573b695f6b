"""Every figure of an evaluation, by name, for all draws of patients at once; titles and sources: data/figures.json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.assessment import MiTnm
from fedpsma.domain.region import Region
from fedpsma.evaluation.agreement import PairedMoments, confusion, weighted_kappa
from fedpsma.evaluation.bootstrap import Values, Weights, mean, median, ratio
from fedpsma.evaluation.calibration import Forecasts
from fedpsma.evaluation.detection import FALSE_POSITIVES_PER_SCAN, HitRule
from fedpsma.evaluation.origins import group_of, origin_groups
from fedpsma.evaluation.records import FocusScore, LesionScore
from fedpsma.evaluation.sample import Sample, agree, numbers
from fedpsma.evaluation.stages import (
    M_LEVELS,
    N_LEVELS,
    T_LEVELS,
    is_m,
    is_n,
    is_t,
    m_level,
    m_whole,
    n_level,
    t_level,
)
from fedpsma.lesions.judge import INDETERMINATE, MALIGNANT

ALLOWED = tuple(sorted({*FALSE_POSITIVES_PER_SCAN, 1.5}))
"""False positives a scan at which sensitivity is given; 1.5 is where Capobianco 2022 report theirs."""

POSITIVE_FROM = 0.5
"""From this probability on a focus counts as found where figures with a threshold are given."""

Figures = dict[str, Values]
_Test = Callable[[FocusScore], bool]


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
    drawn = _Drawn(sample, weights)
    found = dict(_segmentation(drawn)) | dict(_volumes(drawn)) | dict(_staging(drawn))
    for rule in sample.rules:
        found |= dict(_detection(drawn, rule))
    found |= dict(_location(drawn)) | dict(_reading(drawn)) | dict(_origins(drawn))
    if sample.has_probabilities:
        found |= dict(_calibration(drawn))
    return {name: values for name, values in found.items() if np.isfinite(values[0])}


_Named = Iterator[tuple[str, Values]]


@dataclass(frozen=True)
class _Drawn:
    sample: Sample
    weights: Weights

    def scans(self, values: Sequence[float]) -> Values:
        return mean(self.weights, self.sample.owner, values)

    def lesions(self, values: Sequence[float]) -> Values:
        return mean(self.weights, self.sample.lesion_owner, values)

    def foci(self, parts: Sequence[float], wholes: Sequence[float]) -> Values:
        return ratio(self.weights, self.sample.focus_owner, parts, wholes)

    def stages(self, values: Sequence[float]) -> Values:
        return mean(self.weights, self.sample.stage_owner, values)


def _segmentation(drawn: _Drawn) -> _Named:
    dice = drawn.sample.column(lambda study: study.dice)
    yield "dice", drawn.scans(dice)
    yield "dice_median", median(drawn.weights, drawn.sample.owner, dice)
    yield "false_positive_ml", drawn.scans(drawn.sample.column(lambda study: study.false_positive_ml))
    yield "false_negative_ml", drawn.scans(drawn.sample.column(lambda study: study.false_negative_ml))


def _volumes(drawn: _Drawn) -> _Named:
    sample = drawn.sample
    true, found = ([getattr(study, name) for study in sample.studies] for name in ("true_ml", "found_ml"))
    scans = PairedMoments.of(drawn.weights, sample.owner, true, found)
    low, high = scans.limits_of_agreement()
    yield "volume_ccc", scans.concordance()
    yield "volume_bias_ml", scans.bias()
    yield "volume_lower_limit_ml", low
    yield "volume_upper_limit_ml", high
    pairs = [(one.volume_ml, one.found_ml) for one in sample.lesions if one.found_ml is not None]
    owner = sample.lesion_owner[[one.found_ml is not None for one in sample.lesions]]
    lesions = PairedMoments.of(drawn.weights, owner, [one for one, _ in pairs], [one for _, one in pairs])
    yield "lesion_volume_ccc", lesions.concordance()
    yield "lesion_volume_bias_ml", lesions.bias()


def _detection(drawn: _Drawn, rule: HitRule) -> _Named:
    """Average precision and sensitivities need a ranking, which masks alone do not give."""
    suffix = "" if rule == "overlap" else f"_{rule}"
    if drawn.sample.has_probabilities:
        pooled = drawn.sample.pooled(rule)
        yield f"average_precision{suffix}", pooled.average_precision(drawn.weights)
        for rate, values in zip(ALLOWED, pooled.sensitivity_at(drawn.weights, ALLOWED).T, strict=True):
            yield f"sensitivity_at_{rate:g}{suffix}", values
    found = [(one.found_at[rule] or 0.0) >= POSITIVE_FROM for one in drawn.sample.lesions]
    yield f"sensitivity_positive{suffix}", drawn.lesions(numbers(found))
    called = [one.candidate and one.probability >= POSITIVE_FROM for one in drawn.sample.foci]
    right = [one.hits[rule] for one in drawn.sample.foci]
    yield f"precision_positive{suffix}", drawn.foci(_both(called, right), numbers(called))
    yield f"false_positives_positive{suffix}", _per_scan(drawn, _both(called, [not one for one in right]))


def _reading(drawn: _Drawn) -> _Named:
    """Count by what the reader is told: the words, not the probabilities."""
    if not drawn.sample.has_probabilities:
        return
    for name, labels in (("malignant", (MALIGNANT,)), ("flagged", (MALIGNANT, INDETERMINATE))):
        called = [one.listed and one.label in labels for one in drawn.sample.foci]
        right = [one.is_lesion for one in drawn.sample.foci]
        yield f"sensitivity_{name}", drawn.lesions(numbers(_is_told(one, labels) for one in drawn.sample.lesions))
        yield f"precision_{name}", drawn.foci(_both(called, right), numbers(called))
        yield f"false_positives_{name}", _per_scan(drawn, _both(called, [not one for one in right]))


def _is_told(lesion: LesionScore, labels: Sequence[str]) -> bool:
    return lesion.label in labels


def _location(drawn: _Drawn) -> _Named:
    lesions, foci = drawn.sample.lesions, drawn.sample.foci
    pairs = [(one.true_region, one.region) for one in lesions]
    yield "location_suspicious", drawn.lesions(agree(pairs))
    yield "location_axis_suspicious", drawn.lesions(agree((_axis(true), _axis(found)) for true, found in pairs))
    yield "side_suspicious", drawn.lesions(agree((one.true_side, one.side) for one in lesions))
    right = agree((one.true_region, one.region) for one in foci)
    yield "location_all", mean(drawn.weights, drawn.sample.focus_owner, right)


def _axis(region: Region | None) -> str | None:
    return None if region is None else axis_of(region)


def axis_of(region: Region) -> str:
    """Return the miTNM axis of a region, "none" where it has no place in miTNM.

    Example:
        >>> axis_of(Region.LN_OBTURATOR), axis_of(Region.PHYSIOLOGIC)
        ('N', 'none')
    """
    return region.facts.mitnm_axis or "none"


def _staging(drawn: _Drawn) -> _Named:
    stages = drawn.sample.stages
    tests: dict[str, Callable[[MiTnm], object]] = {
        "t_exact": lambda one: one.T,
        "t_any": is_t,
        "n_exact": n_level,
        "n_any": is_n,
        "m_exact": m_whole,
        "m_category": m_level,
        "m_any": is_m,
        "stage_exact": lambda one: (one.T, n_level(one), *m_whole(one)),
    }
    for name, test in tests.items():
        yield name, drawn.stages(agree((test(one.true), test(one.found)) for one in stages))
        by_rules = (None if one.rules is None else test(one.rules) for one in stages)
        ceiling = agree((test(one.true), other) for one, other in zip(stages, by_rules, strict=True))
        yield f"{name}_ceiling", drawn.stages(ceiling)
    for name, level, order in (("t", t_level, T_LEVELS), ("n", n_level, N_LEVELS), ("m", m_level, M_LEVELS)):
        yield f"{name}_kappa", _kappa(drawn, level, order)


def _kappa(drawn: _Drawn, level: Callable[[MiTnm], str], order: Sequence[str]) -> Values:
    tables = np.zeros((drawn.weights.shape[1], len(order), len(order)))
    for owner, one in zip(drawn.sample.stage_owner, drawn.sample.stages, strict=True):
        tables[owner] += confusion([level(one.true)], [level(one.found)], order)
    return weighted_kappa(np.tensordot(drawn.weights, tables, axes=1))


def _calibration(drawn: _Drawn) -> _Named:
    """Judge the words: over all foci, which is what the error level is promised for, and over those that are listed."""
    sample = drawn.sample
    forecasts = forecasts_of(sample)
    yield "calibration_error", forecasts.calibration_error(drawn.weights)
    yield "brier", forecasts.brier(drawn.weights)
    every, listed = [True] * len(sample.foci), [one.listed for one in sample.foci]
    for name, among in (("", every), ("_listed", listed)):
        undecided = [one.label == INDETERMINATE for one in sample.foci]
        decided = _both(among, [not one for one in undecided])
        yield f"abstention{name}", drawn.foci(_both(among, undecided), numbers(among))
        yield f"error_decided{name}", drawn.foci(_both(among, map(_is_wrong, sample.foci)), decided)
    lesions = [one.is_lesion for one in sample.foci]
    for name, among in (("lesions", lesions), ("benign", [not one for one in lesions])):
        covered = _both(among, [not _is_wrong(one) for one in sample.foci])
        yield f"coverage_{name}", drawn.foci(covered, numbers(among))
    # No interval: the thresholds themselves are chosen on the sample.
    yield "undecided_at_95", np.array([forecasts.undecided_at()])


def _is_wrong(one: FocusScore) -> bool:
    return one.label != INDETERMINATE and (one.label == MALIGNANT) != one.is_lesion


def forecasts_of(sample: Sample) -> Forecasts:
    """Return the probabilities of all foci with what is true of them."""
    foci = sample.foci
    return Forecasts.of([one.probability for one in foci], [one.is_lesion for one in foci], sample.focus_owner)


def _origins(drawn: _Drawn) -> _Named:
    """Count false positives a scan by what they come from, and those of the limited groups together."""
    if any(study.benign is None for study in drawn.sample.studies):
        return
    foci = drawn.sample.foci
    groups = [None if one.is_lesion else group_of(one.origin or "") for one in foci]
    limited = {group.name for group in origin_groups() if group.limited}
    tests: dict[str, _Test] = {"malignant": _called_malignant, "flagged": _is_flagged}
    if not drawn.sample.has_probabilities:
        tests = {"malignant": lambda _: True}
    for name, test in tests.items():
        called = [test(one) for one in foci]
        for group in origin_groups():
            inside = [one == group.name for one in groups]
            yield f"false_positives_{name}_{group.name}", _per_scan(drawn, _both(called, inside))
        yield f"false_positives_{name}_limited", _per_scan(drawn, _both(called, [one in limited for one in groups]))


def _called_malignant(one: FocusScore) -> bool:
    return one.listed and one.label == MALIGNANT


def _is_flagged(one: FocusScore) -> bool:
    return one.listed and one.label in (MALIGNANT, INDETERMINATE)


def _per_scan(drawn: _Drawn, counted: Sequence[float]) -> Values:
    """Return the mean number of counted foci a scan; scans without any stay in."""
    a_study = np.split(np.asarray(counted), np.cumsum([len(study.foci) for study in drawn.sample.studies])[:-1])
    return drawn.scans([float(one.sum()) for one in a_study])


def _both(one: Sequence[bool], other: Iterable[bool]) -> list[float]:
    return numbers(a and b for a, b in zip(one, other, strict=True))
