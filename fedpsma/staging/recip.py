"""RECIP 1.0: response by the change of whole-body PSMA volume and by new lesions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedpsma.domain.assessment import Flag, PsmaRads, Recip, RecipInputs
from fedpsma.domain.exam import Exam
from fedpsma.staging.changes import Comparison, Timeline
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.prior import ImageMatch, Link, PriorExam
from fedpsma.staging.psma_rads import INDETERMINATE
from fedpsma.staging.rulebook import Noted, at_least, at_most, percent_change, rule, traced


@dataclass(frozen=True)
class Response:
    """The class with its inputs; both null where the studies cannot be compared."""

    recip: Recip | None = None
    inputs: RecipInputs | None = None


@dataclass(frozen=True)
class UptakeLeft:
    """Whether a counted lesion, or any lesion that is not benign, still takes up tracer."""

    counted: bool
    any: bool


@dataclass(frozen=True)
class NewLesions:
    """New lesions since the prior; ``counted`` is null where the prior names no lesions to compare with.

    ``indeterminate`` are those new findings that are neither counted nor benign.
    """

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
    categories: dict[str, PsmaRads | None],
    counted: Sequence[LesionFacts],
    comparison: Comparison,
    links: dict[str, Link],
) -> NewLesions:
    """Find new lesions; where more lesions compete for fewer foci of the prior, at least one of them is new."""
    labels = comparison.labels
    ids = [one.lesion_id for one in counted]
    contested = [lesion_id for lesion_id in ids if links[lesion_id].status == "ambiguous"]
    foci = {focus.key for lesion_id in contested for focus in links[lesion_id].foci}
    known = all(links[name].status != "unreadable" for name in categories)
    certain = any(labels[lesion_id] == "new" for lesion_id in ids) or len(contested) > len(foci)
    return NewLesions(
        counted=certain if known else None,
        uncertain=tuple(lesion_id for lesion_id in ids if labels[lesion_id] == "match_uncertain"),
        indeterminate=tuple(
            name
            for name, category in categories.items()
            if labels[name] == "new" and name not in ids and category in (*INDETERMINATE, None)
        ),
    )


def assess_response(
    timeline: Timeline, counted: Sequence[LesionFacts], left: UptakeLeft, new: NewLesions
) -> Noted[Response]:
    """Compute RECIP 1.0; null with a trace entry that says why where it is not computable."""
    exam, prior = timeline.exam, timeline.prior
    obstacle = _obstacle(exam, prior, timeline.match)
    if not obstacle and exam.psma_vol_ml == 0 and left.counted:
        obstacle = "the volume is 0 although counted lesions take up tracer"
    if obstacle:
        flags = _not_applicable(prior, new)
        return Noted(Response(), (traced("recip", {"not comparable": obstacle}, None),), flags)
    before, now = prior.prior.psma_vol_ml, exam.psma_vol_ml
    if (prior.foci or before) and (now == 0 or (now is None and not left.any)):
        inputs = None
        if before is not None:
            inputs = _inputs(before, 0.0, -100.0, False)
        entry = traced("recip", {"baseline_ml": before, "current_ml": now, "uptake": "none"}, "CR")
        return Noted(Response("CR", inputs), (entry,))
    if before is None or now is None:
        missing = [name for name, value in (("prior.psma_vol_ml", before), ("psma_vol_ml", now)) if value is None]
        return Noted(Response(), (traced("recip", {"not provided": missing}, None),))
    return _by_volume(before, now, least_volume_ml(now, counted), new)


def least_volume_ml(given: float, counted: Sequence[LesionFacts]) -> float:
    """Return what the counted lesions make of a whole-body volume (ml): at least their sum, where that is larger."""
    together = sum(one.lesion.volume_ml or 0.0 for one in counted)
    return together if together > given * rule("sanity").values["volume_tolerance"] else given


def _obstacle(exam: Exam, prior: PriorExam, match: ImageMatch | None) -> str | None:
    before, now = prior.prior, exam.technique
    if not prior.is_psma_pet:
        return "the prior was no PSMA PET"
    if prior.tracer is None:
        return "the tracer of the prior is not known"
    if prior.tracer != exam.tracer:
        return "another tracer"
    rules = (before.segmentation_rule, now.segmentation_rule)
    if None not in rules and rules[0] != rules[1]:
        return "another segmentation rule"
    beyond = match is not None and bool(match.uncovered_before or match.uncovered_now)
    if beyond or set(before.not_covered or ()) != set(now.not_covered or ()):
        return "another field of view"
    if (before.psma_vol_ml or 0) < 0 or (exam.psma_vol_ml or 0) < 0:
        return "an impossible volume"
    return "no volume at baseline" if before.psma_vol_ml == 0 else None


def _not_applicable(prior: PriorExam, new: NewLesions) -> tuple[Flag, ...]:
    if prior.prior.psma_vol_ml != 0 or not new.counted:
        return ()
    message = "RECIP is not applicable: no volume at baseline, and a new lesion now"
    return (Flag(code="recip_not_applicable", message=message),)


def _by_volume(before: float, now: float, at_least_ml: float, new: NewLesions) -> Noted[Response]:
    delta = percent_change(before, now)
    judged = [new.counted] if new.counted is not None else [True, False]
    changes = [delta] if at_least_ml == now else [delta, percent_change(before, at_least_ml)]
    classes = sorted({recip_class(change, new_lesions=one) for change in changes for one in judged})
    recip = classes[0] if len(classes) == 1 else None
    inputs = _inputs(before, now, delta, new.counted)
    result = recip or f"undetermined: {' or '.join(classes)}"
    said = inputs.model_dump() | ({"counted lesions together, ml": at_least_ml} if at_least_ml != now else {})
    entry = traced("recip", said, result)
    if new.counted is None:
        message = f"new lesions cannot be judged: the prior names no lesions; RECIP {result}"
        return Noted(Response(recip, inputs), (entry,), (Flag(code="missing_value", message=message),))
    if recip is None:
        message = f"the volume contradicts the lesions: RECIP {result}"
        return Noted(Response(None, inputs), (entry,), (Flag(code="data_error", message=message),))
    with_new = recip_class(delta, new_lesions=True)
    return Noted(Response(recip, inputs), (entry,), tuple(_flags(delta, recip, with_new, new)))


def _inputs(before: float, now: float, delta: float, new: bool | None) -> RecipInputs:
    """Round volumes to a cubic millimetre, and what is told of their change to a tenth of a percent."""
    volumes = {"baseline_ml": round(before, 3), "current_ml": round(now, 3)}
    return RecipInputs(**volumes, delta_pct=round(delta, 1), new_lesions=new)


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
