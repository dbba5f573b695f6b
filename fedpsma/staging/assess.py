"""Exam in, assessment out: every framework in turn, each decision traced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from fedpsma.domain.assessment import Assessment, Flag, PsmaRads, TraceEntry
from fedpsma.domain.exam import Exam
from fedpsma.staging import cautions
from fedpsma.staging.changes import Comparison, Timeline, compare
from fedpsma.staging.counting import counted_lesions, counts
from fedpsma.staging.e_psma import score_e_psma
from fedpsma.staging.expression import References, Score, expression_range, references_of, score_lesion, score_lesions
from fedpsma.staging.facts import LesionFacts, read_lesion
from fedpsma.staging.free_text import inspect_texts
from fedpsma.staging.mitnm import Stage, stage, stage_units, unit_of
from fedpsma.staging.options import StagingOptions, alternatives
from fedpsma.staging.ppp import imaging_part
from fedpsma.staging.primary import score_primary
from fedpsma.staging.prior import ImageMatch, Link, PriorExam, link_lesions, link_matched, read_prior
from fedpsma.staging.psma_rads import Surroundings, overall_category, propose, propose_categories
from fedpsma.staging.radioligand import radioligand_facts
from fedpsma.staging.rationale import Findings, explain
from fedpsma.staging.recip import Response, assess_response, find_new_lesions
from fedpsma.staging.rulebook import Noted, traced
from fedpsma.staging.sanity import check, check_volume
from fedpsma.staging.treated import treated_lesions
from fedpsma.text.clinical_context import ClinicalContext, read_clinical_context

Value = TypeVar("Value")
_STAGE_ONLY = frozenset({"count_sides", "diffuse_marrow", "pattern_beside_dmi", "change_percent"})


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
    timeline: Timeline | None
    options: StagingOptions

    @property
    def links(self) -> dict[str, Link]:
        return self.timeline.links if self.timeline else {}

    def surroundings(self, treated: frozenset[str]) -> Surroundings:
        tracer = self.exam.tracer
        assert tracer is not None  # references, without which nothing asks, exist for a known tracer only
        return Surroundings(tracer, treated, self.context, self.options)


@dataclass(frozen=True)
class _Core:
    """Score, category and stage: what the later frameworks build on."""

    references: References
    scores: dict[str, Score]
    treated: frozenset[str]
    categories: dict[str, PsmaRads | None]
    counted: tuple[LesionFacts, ...]
    stage: Stage


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
    notes = _Notebook()
    facts = [notes.keep(read_lesion(lesion, options)) for lesion in exam.lesions]
    prior = read_prior(exam)
    timeline = None
    if prior:
        links = link_matched(facts, prior, match) if match else link_lesions(facts, prior)
        timeline = Timeline(exam, facts, links, prior, match)
    reading = _Reading(exam, facts, read_clinical_context(exam.clinical), prior, timeline, options)
    notes.keep(inspect_texts(exam))
    notes.keep(check(exam, facts))
    references = references_of(exam)
    if references is None:
        return _without_psma(reading, notes)
    return _with_psma(reading, references, notes)


def _with_psma(reading: _Reading, references: References, notes: _Notebook) -> Assessment:
    core = _core(reading, references, notes)
    scores, categories, counted = core.scores, core.categories, core.counted
    spread = notes.keep(expression_range(counted, scores))
    primary = notes.keep(score_primary(reading.exam, reading.facts, reading.context))
    comparison = _comparison(reading, scores, notes)
    response, progression = _response(reading, core, comparison, notes)
    negative = _caution(reading, core, notes)
    notes.keep(_option_effects(reading, core, comparison))
    return Assessment(
        mitnm=core.stage.mitnm,
        mitnm_string=core.stage.text,
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


def _core(reading: _Reading, references: References, notes: _Notebook) -> _Core:
    facts = reading.facts
    scores = notes.keep(score_lesions(reading.exam, references, reading.options))
    treated = notes.keep(treated_lesions(facts, reading.links, reading.prior, reading.context, references))
    around = reading.surroundings(treated)
    categories = notes.keep(propose_categories(facts, scores, around))
    counted = notes.keep(counted_lesions(facts, categories))
    staged = notes.keep(stage(counted, reading.exam.clinical.prostate_status, reading.options))
    return _Core(references, scores, treated, categories, counted, staged)


def _option_effects(reading: _Reading, core: _Core, comparison: Comparison | None) -> Noted[None]:
    """Say which policy, taken the other way, would have given another result."""
    now = _outcome(core, comparison)
    entries = []
    for name, options in alternatives(reading.options):
        other = replace(reading, options=options)
        if name.startswith("node_short_axis"):
            other = replace(other, facts=[read_lesion(one, options).value for one in reading.exam.lesions])
        then = _outcome(*_taken_otherwise(name, other, core, comparison))
        changed = {what: then[what] for what in now if then[what] != now[what]}
        if changed:
            inputs = {"option": name, "value": getattr(reading.options, name), "otherwise": _told(changed)}
            entries.append(traced("option_effect", inputs, _told({what: now[what] for what in changed})))
    return Noted(None, tuple(entries))


def _taken_otherwise(
    name: str, other: _Reading, core: _Core, comparison: Comparison | None
) -> tuple[_Core, Comparison | None]:
    """Work out again what a policy can change; a trace of it is not kept."""
    scores, categories, counted = core.scores, core.categories, core.counted
    if name == "promise":
        scores = {
            one.lesion_id: score_lesion(one, core.references, other.options.promise) for one in other.exam.lesions
        }
    if name in ("promise", "change_percent"):
        comparison = _comparison(other, scores, _Notebook())
    if name not in _STAGE_ONLY:
        around = other.surroundings(core.treated)
        categories = {one.lesion_id: propose(one, scores[one.lesion_id], around).category for one in other.facts}
        counted = tuple(one for one in other.facts if counts(one, categories[one.lesion_id]))
    units = Counter(unit_of(one) for one in counted)
    staged = stage_units(units, other.exam.clinical.prostate_status, other.options)
    return replace(core, scores=scores, categories=categories, counted=counted, stage=staged), comparison


def _outcome(core: _Core, comparison: Comparison | None) -> dict[str, Any]:
    """Return the results that a policy can change; N1a and N1b are only other names for N1 and N2."""
    outcome: dict[str, Any] = {"stage": core.stage.text.replace("N1a", "N1").replace("N1b", "N2")}
    outcome |= {f"PSMA-RADS of {name}": category or "open" for name, category in core.categories.items()}
    outcome |= {f"change of {name}": label for name, label in (comparison.labels if comparison else {}).items()}
    return outcome


def _told(results: dict[str, Any]) -> str:
    return ", ".join(value if what == "stage" else f"{what} {value}" for what, value in results.items())


def _findings(reading: _Reading, core: _Core, comparison: Comparison | None) -> Findings:
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


def _overall(categories: dict[str, PsmaRads | None], notes: _Notebook) -> PsmaRads | None:
    overall = overall_category(categories.values())
    notes.keep(
        Noted(None, (traced("psma_rads_overall", {"categories": sorted(filter(None, categories.values()))}, overall),))
    )
    return overall


def _comparison(reading: _Reading, scores: dict[str, Score], notes: _Notebook) -> Comparison | None:
    if reading.timeline is None:
        return None
    return notes.keep(compare(reading.timeline, scores, reading.options))


def _response(
    reading: _Reading, core: _Core, comparison: Comparison | None, notes: _Notebook
) -> tuple[Response, list[str]]:
    if reading.timeline is None or comparison is None:
        return Response(), []
    new = find_new_lesions(reading.facts, core.counted, comparison, reading.links)
    progression = notes.keep(imaging_part(reading.timeline, core.counted, comparison))
    # An empty table does not prove that nothing took up tracer.
    left = not core.scores or any(
        core.scores[name].high > 0 for name, category in core.categories.items() if category not in ("1", "2")
    )
    return notes.keep(assess_response(reading.timeline, core.counted, left, new)), progression


def _caution(reading: _Reading, core: _Core, notes: _Notebook) -> list[str]:
    """Collect the flags that stand beside the stage; return the PSMA-negative lesions."""
    exam, facts, categories = reading.exam, reading.facts, core.categories
    negative = list(cautions.psma_negative(facts, categories, core.scores))
    notes.flag(check_volume(exam, core.counted))
    notes.flag(cautions.tumour_sink(exam, core.counted, reading.options))
    notes.flag(negative)
    notes.flag(cautions.reference_organ(facts, categories, core.references, reading.context))
    notes.flag(cautions.model_conflicts(exam, facts, categories, reading.options))
    notes.flag(cautions.pitfalls(exam, facts))
    return [lesion for flag in negative for lesion in flag.lesions]
