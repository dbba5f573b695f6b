"""Score, category, counting and stage: what every later framework starts from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from fedpsma.domain.assessment import PsmaRads
from fedpsma.domain.exam import Exam
from fedpsma.staging.changes import Timeline
from fedpsma.staging.counting import counted_lesions
from fedpsma.staging.expression import References, Score, score_lesions
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.mitnm import Stage, other_local_stage, stage, stage_units, unit_of
from fedpsma.staging.options import StagingOptions
from fedpsma.staging.prior import Link, PriorExam
from fedpsma.staging.psma_rads import Surroundings, may_count, propose_categories
from fedpsma.staging.recip import UptakeLeft
from fedpsma.staging.rulebook import Notebook, Noted, traced
from fedpsma.staging.treated import treated_lesions
from fedpsma.text.clinical_context import ClinicalContext


@dataclass(frozen=True)
class Reading:
    """The exam with its free text read."""

    exam: Exam
    facts: list[LesionFacts]
    context: ClinicalContext
    prior: PriorExam | None
    timeline: Timeline | None
    options: StagingOptions

    @property
    def links(self) -> dict[str, Link]:
        """How each lesion relates to the prior; empty without a prior."""
        return self.timeline.links if self.timeline else {}

    def surroundings(self, treated: frozenset[str]) -> Surroundings:
        """Return what decides a category beside the lesion itself."""
        tracer = self.exam.tracer
        assert tracer is not None  # references, without which nothing asks, exist for a known tracer only
        return Surroundings(tracer, treated, self.context, self.options)


@dataclass(frozen=True)
class Core:
    """Score, category and stage of one exam; ``possible`` are the stages that open values leave, if more than one."""

    references: References
    scores: dict[str, Score]
    treated: frozenset[str]
    categories: dict[str, PsmaRads | None]
    counted: tuple[LesionFacts, ...]
    stage: Stage
    possible: tuple[str, ...]

    @property
    def uptake_left(self) -> UptakeLeft:
        """Whether lesions still take up tracer; an empty table does not prove that none does."""
        active = {name for name, score in self.scores.items() if score.high > 0}
        malignant = {name for name, category in self.categories.items() if category not in ("1", "2")}
        return UptakeLeft(
            counted=any(one.lesion_id in active for one in self.counted),
            any=not self.scores or bool(active & malignant),
        )


def settle(reading: Reading, references: References, notes: Notebook) -> Core:
    """Score, categorise, count and stage the lesions of an exam."""
    facts, options, status = reading.facts, reading.options, reading.exam.clinical.prostate_status
    scores = notes.keep(score_lesions(reading.exam, references, options))
    treated = notes.keep(treated_lesions(facts, reading.links, reading.prior, reading.context, references))
    around = reading.surroundings(treated)
    categories = notes.keep(propose_categories(facts, scores, around))
    counted = notes.keep(counted_lesions(facts, categories))
    staged = notes.keep(stage(counted, status, options))
    left_open = [one for one in facts if categories[one.lesion_id] is None and may_count(one, scores, around)]
    possible = notes.keep(_possible(reading, staged, counted, left_open))
    return Core(references, scores, treated, categories, counted, staged, possible)


def _possible(
    reading: Reading, staged: Stage, counted: tuple[LesionFacts, ...], left_open: list[LesionFacts]
) -> Noted[tuple[str, ...]]:
    """Return the stage as given, with all that is open counted, and with the other T where the gland is in doubt."""
    status, options = reading.exam.clinical.prostate_status, reading.options
    stages = [staged, stage_units(Counter(unit_of(one) for one in (*counted, *left_open)), status, options)]
    other = other_local_stage(counted, status)
    if other:
        stages += [one.with_local(other) for one in stages]
    texts = tuple(dict.fromkeys(one.text for one in stages))
    if len(texts) == 1:
        return Noted(())
    inputs: dict[str, Any] = {"not counted while their uptake is open": [one.lesion_id for one in left_open]}
    if other:
        inputs |= {"prostate_status": status, "T by the other reading": other}
    return Noted(texts, (traced("mitnm_possible", inputs, f"undetermined: {' or '.join(texts)}"),))
