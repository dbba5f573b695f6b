"""Exam in, assessment out: every framework in turn, each decision traced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from fedpsma.domain.assessment import Assessment, Flag, PsmaRads, TraceEntry
from fedpsma.domain.exam import Exam
from fedpsma.staging import cautions
from fedpsma.staging.changes import Comparison, compare
from fedpsma.staging.counting import counted_lesions
from fedpsma.staging.expression import References, Score, expression_range, references_of, score_lesions
from fedpsma.staging.facts import LesionFacts, read_lesion
from fedpsma.staging.free_text import inspect_texts
from fedpsma.staging.mitnm import stage
from fedpsma.staging.options import StagingOptions
from fedpsma.staging.ppp import imaging_part
from fedpsma.staging.primary import score_primary
from fedpsma.staging.prior import Link, PriorExam, link_lesions, read_prior
from fedpsma.staging.psma_rads import Surroundings, overall_category, propose_categories
from fedpsma.staging.rationale import Findings, explain
from fedpsma.staging.recip import Response, assess_response, find_new_lesions
from fedpsma.staging.rulebook import Noted, traced
from fedpsma.staging.sanity import check, check_volume
from fedpsma.staging.treated import treated_lesions
from fedpsma.text.clinical_context import ClinicalContext, read_clinical_context

Value = TypeVar("Value")


@dataclass
class _Notebook:
    """Collects the trace and the flags of one assessment."""

    trace: list[TraceEntry] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)

    def keep(self, noted: Noted[Value]) -> Value:
        self.trace += noted.trace
        self.flags += noted.flags
        return noted.value

    def flag(self, flags: Iterable[Flag]) -> None:
        self.flags += flags


@dataclass(frozen=True)
class _Reading:
    """The exam with its free text read: what every framework starts from."""

    exam: Exam
    facts: list[LesionFacts]
    context: ClinicalContext
    prior: PriorExam | None
    links: dict[str, Link]


def assess(exam: Exam, options: StagingOptions = StagingOptions()) -> Assessment:  # noqa: B008 (frozen)
    """Stage an exam: scores, PSMA-RADS, miTNM, response, changes, open questions.

    Pure: the same exam and options give the same assessment. Where the PSMA frameworks do not apply (another tracer, or
    none named) their fields are null and a flag says so; text, sanity checks and the comparison are still read.

    Example:
        >>> assessment = assess(Exam.model_validate({"tracer": "68Ga-PSMA-11"}))
        >>> assessment.mitnm_string
        'miT0 N0 M0'
    """
    notes = _Notebook()
    facts = [notes.keep(read_lesion(lesion)) for lesion in exam.lesions]
    prior = read_prior(exam)
    links = link_lesions(facts, prior) if prior else {}
    reading = _Reading(exam, facts, read_clinical_context(exam.clinical), prior, links)
    notes.keep(inspect_texts(exam))
    notes.keep(check(exam, facts))
    references = references_of(exam)
    if references is None:
        return _without_psma(reading, notes)
    return _with_psma(reading, references, options, notes)


def _with_psma(reading: _Reading, references: References, options: StagingOptions, notes: _Notebook) -> Assessment:
    exam, facts = reading.exam, reading.facts
    scores = notes.keep(score_lesions(exam, references, options))
    categories = _categories(reading, references, scores, options, notes)
    counted = notes.keep(counted_lesions(facts, categories))
    staged = notes.keep(stage(counted, exam.clinical.prostate_status, options))
    spread = notes.keep(expression_range(counted, scores))
    primary = notes.keep(score_primary(exam, facts, reading.context))
    comparison = _comparison(reading, scores, notes)
    response = _response(reading, counted, scores, comparison, notes)
    _caution(reading, references, categories, scores, counted, options, notes)
    findings = Findings(
        exam=exam,
        facts=tuple(facts),
        categories=categories,
        scores=scores,
        references=references,
        counted=counted,
        stage=staged,
        context=reading.context,
        options=options,
        prior=reading.prior,
        links=reading.links,
        comparison=comparison,
    )
    return Assessment(
        mitnm=staged.mitnm,
        mitnm_string=staged.text,
        psma_rads=categories,
        psma_rads_overall=_overall(categories, notes),
        expression={name: score.value for name, score in scores.items()},
        expression_bounds={name: (one.low, one.high) for name, one in scores.items() if one.value is None},
        expression_highest=spread.highest,
        expression_lowest=spread.lowest,
        expression_reference=references.organ_name,
        primary_score=primary,
        indeterminate=notes.keep(explain(findings)),
        recip=response.recip,
        recip_inputs=response.inputs,
        prior_change=comparison.labels if comparison else {},
        flags=notes.flags,
        trace=notes.trace,
    )


def _without_psma(reading: _Reading, notes: _Notebook) -> Assessment:
    exam = reading.exam
    reason = f"{exam.tracer} is not a PSMA tracer" if exam.tracer else "the tracer is not known"
    message = f"{reason}: PROMISE, PSMA-RADS, PRIMARY and RECIP do not apply"
    notes.flag([Flag(code="framework_not_applicable", message=message)])
    notes.keep(Noted(None, (traced("framework", {"tracer": exam.tracer}, None),)))
    comparison = _comparison(reading, {}, notes)
    return Assessment(
        mitnm=None,
        mitnm_string=None,
        psma_rads={lesion.lesion_id: None for lesion in exam.lesions},
        expression={lesion.lesion_id: None for lesion in exam.lesions},
        prior_change=comparison.labels if comparison else {},
        flags=notes.flags,
        trace=notes.trace,
    )


def _categories(
    reading: _Reading,
    references: References,
    scores: dict[str, Score],
    options: StagingOptions,
    notes: _Notebook,
) -> dict[str, PsmaRads | None]:
    facts, context = reading.facts, reading.context
    treated = notes.keep(treated_lesions(facts, reading.links, reading.prior, context, references))
    tracer = reading.exam.tracer
    if tracer is None:
        raise ValueError("PSMA-RADS needs a tracer")
    return notes.keep(propose_categories(facts, scores, Surroundings(tracer, treated, context), options))


def _overall(categories: dict[str, PsmaRads | None], notes: _Notebook) -> PsmaRads | None:
    overall = overall_category(categories.values())
    notes.keep(
        Noted(None, (traced("psma_rads_overall", {"categories": sorted(filter(None, categories.values()))}, overall),))
    )
    return overall


def _comparison(reading: _Reading, scores: dict[str, Score], notes: _Notebook) -> Comparison | None:
    if reading.prior is None:
        return None
    return notes.keep(compare(reading.exam, reading.facts, reading.links, reading.prior, scores))


def _response(
    reading: _Reading,
    counted: tuple[LesionFacts, ...],
    scores: dict[str, Score],
    comparison: Comparison | None,
    notes: _Notebook,
) -> Response:
    if reading.prior is None or comparison is None:
        return Response()
    new = find_new_lesions(reading.facts, counted, comparison, reading.links)
    progression = imaging_part(reading.exam, reading.prior, counted, comparison, reading.links)
    if progression:
        notes.keep(Noted(None, (progression,)))
    return notes.keep(assess_response(reading.exam, reading.prior, counted, scores, new))


def _caution(
    reading: _Reading,
    references: References,
    categories: dict[str, PsmaRads | None],
    scores: dict[str, Score],
    counted: tuple[LesionFacts, ...],
    options: StagingOptions,
    notes: _Notebook,
) -> None:
    exam, facts = reading.exam, reading.facts
    notes.flag(check_volume(exam, counted))
    notes.flag(cautions.tumour_sink(exam, counted, options))
    notes.flag(cautions.psma_negative(facts, categories, scores))
    notes.flag(cautions.reference_organ(facts, categories, references, reading.context))
    notes.flag(cautions.model_conflicts(exam, facts, categories))
    notes.flag(cautions.pitfalls(exam, facts))
