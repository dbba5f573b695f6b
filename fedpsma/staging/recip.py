"""RECIP 1.0: response by the change of whole-body PSMA volume and by new lesions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedpsma.domain.assessment import Flag, Recip, RecipInputs
from fedpsma.domain.exam import Exam
from fedpsma.staging.changes import Comparison
from fedpsma.staging.expression import Score
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.prior import Link, PriorExam
from fedpsma.staging.rulebook import Noted, at_least, at_most, percent_change, rule, traced


@dataclass(frozen=True)
class Response:
    """The class with its inputs; both null where the studies cannot be compared."""

    recip: Recip | None = None
    inputs: RecipInputs | None = None


@dataclass(frozen=True)
class NewLesions:
    """New lesions since the prior; ``counted`` is null where the prior names no lesions to compare with."""

    counted: bool | None
    uncertain: tuple[str, ...]
    indeterminate: tuple[str, ...]


def recip_class(delta_pct: float, *, new_lesions: bool) -> Recip:
    """RECIP class of a volume that has not vanished; both limits belong to the response.

    Example:
        >>> recip_class(percent_change(150.0, 180.0), new_lesions=True)
        'PD'
        >>> recip_class(-36.9, new_lesions=True)
        'SD'
    """
    limits = rule("recip").values
    if at_most(delta_pct, limits["decrease_percent"]) and not new_lesions:
        return "PR"
    if at_least(delta_pct, limits["increase_percent"]) and new_lesions:
        return "PD"
    return "SD"


def find_new_lesions(
    facts: Sequence[LesionFacts], counted: Sequence[LesionFacts], comparison: Comparison, links: dict[str, Link]
) -> NewLesions:
    """Find new lesions; where more lesions compete for fewer foci of the prior, at least one of them is new."""
    labels = comparison.labels
    ids = [one.lesion_id for one in counted]
    contested = [lesion_id for lesion_id in ids if links[lesion_id].status == "ambiguous"]
    foci = {focus.key for lesion_id in contested for focus in links[lesion_id].foci}
    known = all(links[one.lesion_id].status != "unreadable" for one in facts) if facts else True
    certain = any(labels[lesion_id] == "new" for lesion_id in ids) or len(contested) > len(foci)
    return NewLesions(
        counted=certain if known else None,
        uncertain=tuple(lesion_id for lesion_id in ids if labels[lesion_id] == "match_uncertain"),
        indeterminate=tuple(
            one.lesion_id for one in facts if labels[one.lesion_id] == "new" and one.lesion_id not in ids
        ),
    )


def assess_response(
    exam: Exam,
    prior: PriorExam,
    counted: Sequence[LesionFacts],
    scores: dict[str, Score],
    new: NewLesions,
) -> Noted[Response]:
    """Compute RECIP 1.0; null with a trace entry that says why where it is not computable."""
    obstacle = _obstacle(exam, prior)
    if obstacle:
        return Noted(Response(), (traced("recip", {"obstacle": obstacle}, None),))
    before, now = prior.prior.psma_vol_ml, exam.psma_vol_ml
    if _all_uptake_gone(exam, prior, counted, scores):
        inputs = None
        if before is not None:
            inputs = RecipInputs(baseline_ml=before, current_ml=0.0, delta_pct=-100.0, new_lesions=False)
        return Noted(Response("CR", inputs), (traced("recip", {"baseline_ml": before, "current_ml": now}, "CR"),))
    if before is None or now is None:
        missing = [name for name, value in (("prior.psma_vol_ml", before), ("psma_vol_ml", now)) if value is None]
        return Noted(Response(), (traced("recip", {"not provided": missing}, None),))
    return _by_volume(before, now, new)


def _obstacle(exam: Exam, prior: PriorExam) -> str | None:
    if not prior.is_psma_pet:
        return "the prior was no PSMA PET"
    if prior.tracer is None:
        return "the tracer of the prior is not known"
    if prior.tracer != exam.tracer:
        return "not comparable: another tracer"
    return "no volume at baseline" if prior.prior.psma_vol_ml == 0 else None


def _all_uptake_gone(exam: Exam, prior: PriorExam, counted: Sequence[LesionFacts], scores: dict[str, Score]) -> bool:
    if counted or not (prior.foci or prior.prior.psma_vol_ml):
        return False
    if exam.psma_vol_ml is not None:
        return exam.psma_vol_ml == 0
    return bool(scores) and all(score.value == 0 for score in scores.values())


def _by_volume(before: float, now: float, new: NewLesions) -> Noted[Response]:
    delta = percent_change(before, now)
    with_new, without_new = recip_class(delta, new_lesions=True), recip_class(delta, new_lesions=False)
    if new.counted is None:
        recip = with_new if with_new == without_new else None
        entry = traced("recip", {"delta_pct": round(delta, 1), "new_lesions": None}, recip)
        message = "new lesions cannot be judged: the prior names no lesions"
        return Noted(Response(recip), (entry,), (Flag(code="missing_value", message=message),))
    recip = with_new if new.counted else without_new
    inputs = RecipInputs(baseline_ml=before, current_ml=now, delta_pct=round(delta, 1), new_lesions=new.counted)
    entry = traced("recip", inputs.model_dump(), recip)
    return Noted(Response(recip, inputs), (entry,), tuple(_flags(delta, recip, with_new, new)))


def _flags(delta: float, recip: Recip, with_new: Recip, new: NewLesions) -> Iterator[Flag]:
    limits = rule("recip").values
    if recip == "SD" and at_least(delta, limits["increase_percent"]):
        message = f"PSMA volume {delta:+.1f} % without a new lesion: RECIP SD in spite of growth"
        yield Flag(code="response_discordance", message=message)
    if recip == "SD" and at_most(delta, limits["decrease_percent"]):
        message = f"PSMA volume {delta:+.1f} % but a new lesion: RECIP SD"
        yield Flag(code="response_discordance", message=message)
    if new.counted or recip == with_new:
        return
    if new.uncertain:
        message = f"an uncertain match decides the response class: RECIP {with_new} if the lesion is new"
        yield Flag(code="match_uncertain", lesions=list(new.uncertain), message=message)
    if new.indeterminate:
        message = f"a new finding that is not counted decides the response class: RECIP {with_new} if it is metastatic"
        yield Flag(code="response_discordance", lesions=list(new.indeterminate), message=message)
