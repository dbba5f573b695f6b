"""Several models on the same held-out patients: one row a model, every figure with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.contour import ContourConvention
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.errors import InputError
from fedpsma.evaluation.bootstrap import Interval, patient_bootstrap
from fedpsma.evaluation.detection import (
    FALSE_POSITIVES_PER_SCAN,
    HIT_RULES,
    HitRule,
    ScanDetections,
    average_precision,
    froc,
    match_scan,
)
from fedpsma.evaluation.segmentation import SegmentationScores, segmentation_scores
from fedpsma.lesions.candidates import Candidate, CandidateOptions, find_candidates, paint, segment
from fedpsma.lesions.references import measure_references


@dataclass(frozen=True)
class Case:
    """One held-out study with what a model says of it, outlined by the convention of the study's site."""

    study: Study
    prediction: VoxelPrediction
    contour: ContourConvention = "pct45"


@dataclass(frozen=True)
class CaseScores:
    """How one model did on one study; ``detections`` by hit rule."""

    study_id: str
    patient_id: str
    segmentation: SegmentationScores
    detections: dict[HitRule, ScanDetections]


@dataclass(frozen=True)
class ModelScores:
    """All cases of one model; ``epsilon`` is its privacy loss, ``None`` where it has no such guarantee."""

    name: str
    cases: tuple[CaseScores, ...]
    epsilon: float | None = None


@dataclass(frozen=True)
class ComparisonOptions:
    """How models are compared: candidates from ``positive_from`` on make up the segmentation."""

    positive_from: float = 0.5
    rule: HitRule = "overlap"
    replicates: int = 2000
    seed: int = 0
    allowed: tuple[float, ...] = FALSE_POSITIVES_PER_SCAN


class Figure(BaseModel):
    """A value with its 95 % interval over patients; ``None`` where it is not defined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """Render the value with its interval, "not defined" where there is none."""
        if self.value is None:
            return "not defined"
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f}-{self.high:.2f})"


class ComparisonRow(BaseModel):
    """One model: sensitivity by false positives a scan, average precision, mean Dice, mean volumes in ml, epsilon."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sensitivity: dict[str, Figure]
    average_precision: Figure
    dice: Figure
    false_positive_ml: Figure
    false_negative_ml: Figure
    epsilon: float | None


class Comparison(BaseModel):
    """The table: what was compared on how many patients, scans and lesions, and whether the data are synthetic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[ComparisonRow, ...]
    patients: int
    scans: int
    lesions: int
    rule: HitRule
    synthetic: bool

    def markdown(self) -> str:
        """Return the table as Markdown, with what it was measured on above it."""
        kind = "synthetic patients" if self.synthetic else "patients"
        rates = list(self.rows[0].sensitivity) if self.rows else []
        heads = ["model", *(f"sensitivity at {rate} FP/scan" for rate in rates), "average precision"]
        heads += ["Dice", "FPV ml", "FNV ml", "epsilon"]
        lines = [
            f"Held-out {kind}: {self.patients}, scans: {self.scans}, lesions: {self.lesions}; "
            f"hit rule: {self.rule}; in brackets: 95 % bootstrap interval over patients.",
            "",
            "| " + " | ".join(heads) + " |",
            "|" + "---|" * len(heads),
        ]
        return "\n".join([*lines, *(_line(row) for row in self.rows)]) + "\n"


def _line(row: ComparisonRow) -> str:
    epsilon = "no guarantee" if row.epsilon is None else f"{row.epsilon:.2f}"
    figures = [*row.sensitivity.values(), row.average_precision, row.dice, row.false_positive_ml, row.false_negative_ml]
    return "| " + " | ".join([row.name, *map(str, figures), epsilon]) + " |"


def evaluate_model(
    name: str,
    cases: Iterable[Case],
    *,
    epsilon: float | None = None,
    options: ComparisonOptions | None = None,
    on_study: Callable[[str], None] | None = None,
) -> ModelScores:
    """Score one model.

    Args:
        name: How the table calls the model.
        cases: Studies with predictions; a generator keeps one study in memory at a time.
        epsilon: Privacy loss to show beside the model.
        options: See :class:`ComparisonOptions`.
        on_study: Called with the study's id after each study.

    Raises:
        InputError: A study has no lesion mask.
    """
    options = options or ComparisonOptions()
    scored = []
    for case in cases:
        scored.append(score_case(case, options))
        if on_study is not None:
            on_study(case.study.study_id)
    return ModelScores(name, tuple(scored), epsilon)


def score_case(case: Case, options: ComparisonOptions) -> CaseScores:
    """Score one study: candidates outlined by the site's convention; foci at physiological sites are no detections."""
    study, truth = case.study, case.study.lesions
    if truth is None:
        raise InputError(
            "has no lesion mask", where=f"study {study.study_id}", remedy="evaluate on studies with a mask"
        )
    candidates = _candidates(case)
    labels = paint(candidates, study)
    scores = np.array([one.suspicion for one in candidates], dtype=np.float64)
    positive = segment([one for one in candidates if one.suspicion >= options.positive_from], study)
    return CaseScores(
        study.study_id,
        study.patient_id,
        segmentation_scores(truth > 0, positive, study.voxel_ml),
        {rule: match_scan(truth, labels, scores, study.pet, rule) for rule in HIT_RULES},
    )


def _candidates(case: Case) -> tuple[Candidate, ...]:
    liver = measure_references(case.study, case.prediction).liver if case.contour == "liver" else None
    found = find_candidates(case.study, case.prediction, CandidateOptions(contour=case.contour), liver)
    return tuple(one for one in found if one.region.facts.site != "physiologic")


def compare(models: Sequence[ModelScores], *, synthetic: bool, options: ComparisonOptions | None = None) -> Comparison:
    """Put models side by side.

    Raises:
        ValueError: The models were not scored on the same studies, or there is no model or no study.
    """
    options = options or ComparisonOptions()
    studies = [tuple(case.study_id for case in model.cases) for model in models]
    if not studies or not studies[0] or any(one != studies[0] for one in studies):
        raise ValueError("models can be compared only on the same studies, at least one")
    cases = models[0].cases
    return Comparison(
        rows=tuple(_row(model, options) for model in models),
        patients=len({case.patient_id for case in cases}),
        scans=len(cases),
        lesions=sum(case.detections[options.rule].found_at.size for case in cases),
        rule=options.rule,
        synthetic=synthetic,
    )


def _row(model: ModelScores, options: ComparisonOptions) -> ComparisonRow:
    patients = _by_patient(model.cases)

    def figure(statistic: Callable[[Sequence[CaseScores]], float]) -> Figure:
        rng = np.random.default_rng(options.seed)  # the same draws for every model, so that rows can be compared
        return _figure(patient_bootstrap(patients, statistic, rng, replicates=options.replicates))

    return ComparisonRow(
        name=model.name,
        sensitivity={f"{rate:g}": figure(partial(_sensitivity_at, rate, options.rule)) for rate in options.allowed},
        average_precision=figure(lambda cases: average_precision(_detections(options.rule, cases))),
        dice=figure(lambda cases: _mean([case.segmentation.dice for case in cases])),
        false_positive_ml=figure(lambda cases: _mean([case.segmentation.false_positive_ml for case in cases])),
        false_negative_ml=figure(lambda cases: _mean([case.segmentation.false_negative_ml for case in cases])),
        epsilon=model.epsilon,
    )


def _sensitivity_at(rate: float, rule: HitRule, cases: Sequence[CaseScores]) -> float:
    return froc(_detections(rule, cases), [rate])[0].sensitivity


def _detections(rule: HitRule, cases: Sequence[CaseScores]) -> list[ScanDetections]:
    return [case.detections[rule] for case in cases]


def _by_patient(cases: Sequence[CaseScores]) -> list[list[CaseScores]]:
    patients: dict[str, list[CaseScores]] = {}
    for case in cases:
        patients.setdefault(case.patient_id, []).append(case)
    return list(patients.values())


def _mean(values: Sequence[float]) -> float:
    """Return the mean of what is defined; NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _figure(interval: Interval) -> Figure:
    value, low, high = (
        None if math.isnan(number) else number for number in (interval.value, interval.low, interval.high)
    )
    return Figure(value=value, low=low, high=high)
