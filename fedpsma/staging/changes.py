"""How each lesion changed since the prior, in labels, and whether there are new lesions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fedpsma.domain.assessment import Change, Flag
from fedpsma.domain.exam import Exam, Lesion
from fedpsma.staging.expression import Score
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.prior import Link, PriorExam, PriorFocus, can_be_the_same
from fedpsma.staging.rulebook import Noted, at_least, at_most, percent_change, rule, traced


@dataclass(frozen=True)
class Comparison:
    """Change labels of the current lesions and of the prior table's lesions that are gone.

    ``percent`` is the change of SUVmax where it can be compared. ``gone`` holds the foci of the prior without a
    counterpart, also those that only its text names.
    """

    labels: dict[str, Change]
    percent: dict[str, float]
    gone: tuple[PriorFocus, ...] = ()


def compare(
    exam: Exam, facts: list[LesionFacts], links: dict[str, Link], prior: PriorExam, scores: dict[str, Score]
) -> Noted[Comparison]:
    """Label the change of every lesion; SUVs are compared within one tracer only."""
    comparable = prior.tracer is not None and prior.tracer == exam.tracer
    labels: dict[str, Change] = {}
    percent: dict[str, float] = {}
    trace = []
    for one in facts:
        link = links[one.lesion_id]
        label = _label(one, link, prior, scores.get(one.lesion_id), comparable)
        labels[one.lesion_id] = label
        before = link.foci[0].suvmax if link.status == "matched" else None
        if comparable and before and one.lesion.suvmax is not None:
            percent[one.lesion_id] = percent_change(before, one.lesion.suvmax)
        inputs = {
            "lesion": one.lesion_id,
            "match": link.status,
            "prior": [focus.key for focus in link.foci],
            "suvmax": one.lesion.suvmax,
            "suvmax_before": before,
            "percent": round(percent[one.lesion_id], 1) if one.lesion_id in percent else None,
        }
        trace.append(traced("lesion_change", inputs, label))
    gone = _gone(facts, links, prior) if prior.is_psma_pet else ()
    labels |= _resolved(gone, labels)
    trace.append(traced("prior_match", {"prior": [focus.key for focus in prior.foci]}, [focus.key for focus in gone]))
    flags = (
        *_tracer_flags(exam, prior),
        *_match_flags(facts, links, labels, prior),
        *_mixed_flags(facts, links, labels),
    )
    return Noted(Comparison(labels, percent, gone), tuple(trace), flags)


def change_of_suvmax(before: float, after: float) -> Change:
    """Label a change of SUVmax; 30 % itself counts as change.

    Example:
        >>> change_of_suvmax(10.0, 13.0), change_of_suvmax(10.0, 7.0), change_of_suvmax(10.0, 12.9)
        ('increased', 'decreased', 'stable')
    """
    limit = rule("lesion_change").values["percent"]
    change = percent_change(before, after)
    if at_least(change, limit):
        return "increased"
    return "decreased" if at_most(change, -limit) else "stable"


def _label(one: LesionFacts, link: Link, prior: PriorExam, score: Score | None, comparable: bool) -> Change:
    if link.status == "unreadable":
        return "match_uncertain" if prior.reading is not None else "not_applicable"
    if link.status == "absent":
        return "new" if prior.is_psma_pet else "not_applicable"
    if link.status in ("ambiguous", "side_conflict"):
        return "match_uncertain"
    if not comparable:
        return "persistent_not_comparable"
    if score is not None and score.value == 0:
        return "resolved"
    labels = {_measured_label(one.lesion, focus) for focus in link.foci}
    return labels.pop() if len(labels) == 1 else "match_uncertain"


def _measured_label(lesion: Lesion, focus: PriorFocus) -> Change:
    if lesion.suvmax is None or not focus.suvmax:
        return "persistent_not_comparable"
    return change_of_suvmax(focus.suvmax, lesion.suvmax)


def _gone(facts: list[LesionFacts], links: dict[str, Link], prior: PriorExam) -> tuple[PriorFocus, ...]:
    linked = {focus.key for link in links.values() for focus in link.foci}
    return tuple(
        focus
        for focus in prior.foci
        if focus.key not in linked and not any(can_be_the_same(one, focus) for one in facts)
    )


def _resolved(gone: tuple[PriorFocus, ...], labels: dict[str, Change]) -> dict[str, Change]:
    """Only lesions of a table have an id of their own that a label can stand under."""
    return {focus.key: "resolved" for focus in gone if focus.from_table and focus.key not in labels}


def _tracer_flags(exam: Exam, prior: PriorExam) -> Iterator[Flag]:
    if exam.tracer is None or not (prior.has_lesions or prior.prior.psma_vol_ml is not None):
        return
    if prior.tracer is None:
        yield Flag(code="missing_value", message="tracer of the prior not provided: SUV and volumes are not compared")
    elif prior.tracer != exam.tracer:
        message = f"prior with {prior.tracer}, now {exam.tracer}: SUV and volumes are not compared"
        yield Flag(code="tracer_change", message=message)


def _match_flags(
    facts: list[LesionFacts], links: dict[str, Link], labels: dict[str, Change], prior: PriorExam
) -> Iterator[Flag]:
    conflicting = [one.lesion_id for one in facts if links[one.lesion_id].status == "side_conflict"]
    if conflicting or (prior.reading is not None and prior.reading.side_conflicts):
        message = "the side in the prior contradicts itself or the present table; confirm the match"
        yield Flag(code="prior_laterality_conflict", lesions=conflicting, message=message)
    uncertain = [one.lesion_id for one in facts if labels[one.lesion_id] == "match_uncertain"]
    if uncertain:
        message = (
            "more than one possible counterpart in the prior, a conflicting one, or a prior that could not be read"
        )
        yield Flag(code="match_uncertain", lesions=uncertain, message=message)


def _mixed_flags(facts: list[LesionFacts], links: dict[str, Link], labels: dict[str, Change]) -> Iterator[Flag]:
    for one in facts:
        link, label = links[one.lesion_id], labels[one.lesion_id]
        if link.status != "matched" or label not in ("increased", "decreased", "stable"):
            continue
        before, after = link.foci[0].volume_ml, one.lesion.volume_ml
        if not before or after is None:
            continue
        by_volume = change_of_suvmax(before, after)
        if by_volume != label:
            message = f"mixed: {label} by SUVmax, {by_volume} by volume"
            yield Flag(code="response_discordance", lesions=[one.lesion_id], message=message)
