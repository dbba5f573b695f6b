"""Exam in, assessment out: every framework in turn, each decision traced."""

from __future__ import annotations

from fedpsma.domain.assessment import Assessment, Flag, PsmaRads
from fedpsma.domain.exam import Exam
from fedpsma.staging import cautions
from fedpsma.staging.changes import Comparison, Timeline, compare
from fedpsma.staging.core import Core, Reading, settle
from fedpsma.staging.e_psma import score_e_psma
from fedpsma.staging.expression import References, Score, expression_range, references_of
from fedpsma.staging.facts import read_lesion
from fedpsma.staging.free_text import inspect_texts
from fedpsma.staging.mitnm import app_text
from fedpsma.staging.options import StagingOptions
from fedpsma.staging.policy_effects import policy_effects
from fedpsma.staging.ppp import imaging_part
from fedpsma.staging.primary import score_primary
from fedpsma.staging.prior import ImageMatch, link_lesions, link_matched, read_prior
from fedpsma.staging.psma_rads import overall_category
from fedpsma.staging.radioligand import radioligand_facts
from fedpsma.staging.rationale import Findings, explain
from fedpsma.staging.recip import Response, assess_response, find_new_lesions
from fedpsma.staging.rulebook import Notebook, Noted, traced
from fedpsma.staging.sanity import check, check_volume
from fedpsma.text.clinical_context import read_clinical_context


def assess(
    exam: Exam,
    options: StagingOptions = StagingOptions(),  # noqa: B008 (frozen)
    match: ImageMatch | None = None,
) -> Assessment:
    """Stage an exam: scores, PSMA-RADS, miTNM, response, changes, open questions.

    Pure: the same input gives the same assessment. Where the PSMA frameworks do not apply (another tracer, or none
    named) their fields are null and a flag says so; text, sanity checks and the comparison are still read.

    Args:
        exam: The lesions with their context and the prior.
        options: Policies; where one decides the result, the trace says what the other way would give.
        match: The lesions of the prior's table as found on aligned images; without it they are matched by place.

    Example:
        >>> assessment = assess(Exam.model_validate({"tracer": "68Ga-PSMA-11"}))
        >>> assessment.mitnm_string
        'miT0 N0 M0'
    """
    notes = Notebook()
    facts = [notes.keep(read_lesion(lesion, options)) for lesion in exam.lesions]
    prior = read_prior(exam)
    timeline = None
    if prior:
        links = link_matched(facts, prior, match) if match else link_lesions(facts, prior)
        timeline = Timeline(exam, facts, links, prior, match)
    reading = Reading(exam, facts, read_clinical_context(exam.clinical), prior, timeline, options)
    notes.keep(inspect_texts(exam))
    notes.keep(check(exam, facts))
    references = references_of(exam)
    if references is None:
        return _without_psma(reading, notes)
    return _with_psma(reading, references, notes)


def _with_psma(reading: Reading, references: References, notes: Notebook) -> Assessment:
    core = settle(reading, references, notes)
    scores, categories, counted = core.scores, core.categories, core.counted
    spread = notes.keep(expression_range(counted, scores))
    primary = notes.keep(score_primary(reading.exam, reading.facts, reading.context))
    comparison = _comparison(reading, scores, notes)
    response, progression = _response(reading, core, comparison, notes)
    negative = _caution(reading, core, notes)
    effects = notes.keep(policy_effects(reading, core, comparison))
    return Assessment(
        mitnm=core.stage.mitnm,
        mitnm_string=core.stage.text,
        mitnm_app_string=app_text(core.stage, primary, spread.highest, spread.lowest),
        mitnm_possible=list(core.possible),
        psma_rads=categories,
        psma_rads_overall=_overall(categories, notes),
        e_psma=notes.keep(score_e_psma(categories)),
        expression={name: score.value for name, score in scores.items()},
        expression_bounds={name: (one.low, one.high) for name, one in scores.items() if one.value is None},
        expression_highest=spread.highest,
        expression_lowest=spread.lowest,
        expression_reference=references.organ_name,
        primary_score=primary,
        indeterminate=notes.keep(explain(_findings(reading, core, comparison))),
        recip=response.recip,
        recip_inputs=response.inputs,
        ppp=progression,
        prior_change=comparison.labels if comparison else {},
        radioligand_facts=notes.keep(radioligand_facts(reading.exam, counted, negative)),
        policy_effects=effects,
        flags=notes.flags,
        trace=notes.trace,
    )


def _without_psma(reading: Reading, notes: Notebook) -> Assessment:
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


def _findings(reading: Reading, core: Core, comparison: Comparison | None) -> Findings:
    return Findings(
        exam=reading.exam,
        facts=tuple(reading.facts),
        categories=core.categories,
        scores=core.scores,
        references=core.references,
        counted=core.counted,
        stage=core.stage,
        context=reading.context,
        options=reading.options,
        prior=reading.prior,
        links=reading.links,
        comparison=comparison,
    )


def _overall(categories: dict[str, PsmaRads | None], notes: Notebook) -> PsmaRads | None:
    overall = overall_category(categories.values())
    notes.keep(
        Noted(None, (traced("psma_rads_overall", {"categories": sorted(filter(None, categories.values()))}, overall),))
    )
    return overall


def _comparison(reading: Reading, scores: dict[str, Score], notes: Notebook) -> Comparison | None:
    if reading.timeline is None:
        return None
    return notes.keep(compare(reading.timeline, scores, reading.options))


def _response(
    reading: Reading, core: Core, comparison: Comparison | None, notes: Notebook
) -> tuple[Response, list[str]]:
    if reading.timeline is None or comparison is None:
        return Response(), []
    new = find_new_lesions(core.categories, core.counted, comparison, reading.links)
    progression = notes.keep(imaging_part(reading.timeline, core.counted, comparison))
    return notes.keep(assess_response(reading.timeline, core.counted, core.uptake_left, new)), progression


def _caution(reading: Reading, core: Core, notes: Notebook) -> list[str]:
    """Collect the flags that stand beside the stage; return the PSMA-negative lesions."""
    exam, facts, categories = reading.exam, reading.facts, core.categories
    negative = list(cautions.psma_negative(facts, categories, core.scores))
    notes.flag(check_volume(exam, core.counted, takes_up=core.uptake_left.counted))
    notes.flag(cautions.tumour_sink(exam, core.counted, reading.options))
    notes.flag(negative)
    notes.flag(cautions.reference_organ(facts, categories, core.references, reading.context))
    notes.flag(cautions.model_conflicts(exam, facts, categories, reading.options))
    notes.flag(cautions.pitfalls(exam, facts))
    return [lesion for flag in negative for lesion in flag.lesions]
