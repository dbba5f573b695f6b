"""Several models on the same held-out patients: one row a model, every figure with its interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.analysis import AnalysisOptions, describe
from fedpsma.domain.contour import ContourConvention
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.evaluation.bootstrap import REPLICATES, Values, draw_weights, figure_of
from fedpsma.evaluation.bootstrap import Figure as Figure
from fedpsma.evaluation.detection import FALSE_POSITIVES_PER_SCAN, HitRule
from fedpsma.evaluation.figures import measure
from fedpsma.evaluation.records import StudyScores
from fedpsma.evaluation.sample import Sample
from fedpsma.evaluation.scoring import score_analysis
from fedpsma.evaluation.truth import StudyTruth
from fedpsma.lesions.candidates import CandidateOptions
from fedpsma.lesions.judge import Judge


@dataclass(frozen=True)
class Case:
    """One held-out study with what a model says of it, outlined by the convention of the study's site.

    ``judge`` judges the foci; without one the network's pooled suspicion stands.
    """

    study: Study
    prediction: VoxelPrediction
    contour: ContourConvention = "pct45"
    judge: Judge | None = None


@dataclass(frozen=True)
class ModelScores:
    """All cases of one model; ``epsilon`` is its privacy loss, ``None`` where it has no such guarantee."""

    name: str
    cases: tuple[StudyScores, ...]
    epsilon: float | None = None


@dataclass(frozen=True)
class ComparisonOptions:
    """How models are compared: ``rule`` and ``allowed`` (false positives a scan) are those of the sensitivities."""

    rule: HitRule = "overlap"
    replicates: int = REPLICATES
    seed: int = 0
    allowed: tuple[float, ...] = FALSE_POSITIVES_PER_SCAN


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
    on_study: Callable[[str], None] | None = None,
) -> ModelScores:
    """Score one model.

    Args:
        name: How the table calls the model.
        cases: Studies with predictions; a generator keeps one study in memory at a time.
        epsilon: Privacy loss to show beside the model.
        on_study: Called with the study's id after each study.

    Raises:
        InputError: A study has no lesion mask.
    """
    scored = []
    for case in cases:
        scored.append(_score(case))
        if on_study is not None:
            on_study(case.study.study_id)
    return ModelScores(name, tuple(scored), epsilon)


def _score(case: Case) -> StudyScores:
    options = AnalysisOptions(candidates=CandidateOptions(contour=case.contour, judge=case.judge))
    found = describe(case.study, case.prediction, options)
    return score_analysis(case.study, found, StudyTruth(), dataset="", contour=case.contour)


def compare(models: Sequence[ModelScores], *, synthetic: bool, options: ComparisonOptions | None = None) -> Comparison:
    """Put models side by side, all drawn with the same patients.

    Raises:
        ValueError: The models were not scored on the same studies, or there is no model or no study.
    """
    options = options or ComparisonOptions()
    studies = [tuple(case.study_id for case in model.cases) for model in models]
    if not studies or not studies[0] or any(one != studies[0] for one in studies):
        raise ValueError("models can be compared only on the same studies, at least one")
    sample = Sample.of(models[0].cases)
    return Comparison(
        rows=tuple(_row(model, options) for model in models),
        patients=sample.patients,
        scans=len(sample.studies),
        lesions=len(sample.lesions),
        rule=options.rule,
        synthetic=synthetic,
    )


def _row(model: ModelScores, options: ComparisonOptions) -> ComparisonRow:
    sample = Sample.of(model.cases)
    weights = draw_weights(sample.patients, np.random.default_rng(options.seed), options.replicates)
    found, pooled = measure(sample, weights), sample.pooled(options.rule)
    sensitivity = pooled.sensitivity_at(weights, options.allowed).T

    def figure(values: Values | None) -> Figure:
        return Figure(value=None) if values is None else figure_of(values)

    return ComparisonRow(
        name=model.name,
        sensitivity={f"{rate:g}": figure(values) for rate, values in zip(options.allowed, sensitivity, strict=True)},
        average_precision=figure(pooled.average_precision(weights)),
        dice=figure(found.get("dice")),
        false_positive_ml=figure(found.get("false_positive_ml")),
        false_negative_ml=figure(found.get("false_negative_ml")),
        epsilon=model.epsilon,
    )
