"""PRIMARY score of the untreated prostate; the uptake pattern comes from the reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from fedpsma.domain.assessment import Flag
from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.rulebook import Noted, rule, traced
from fedpsma.text.clinical_context import ClinicalContext, TherapyKind

PrimaryScore = int | Literal["reader_confirm"]
_PATTERNS = {
    "focal_pz": "focal_pz",
    "focal_tz": "focal_tz",
    "diffuse_tz": "diffuse",
    "symmetric_cz": "diffuse",
    "diffuse": "diffuse",
    "none": "none",
    "no_pattern": "none",
    "no_dominant_pattern": "none",
}
_TREATS_THE_PROSTATE: frozenset[TherapyKind] = frozenset(
    {"prostatectomy", "radiotherapy", "focal", "hormonal", "chemotherapy", "radioligand", "other_systemic"}
)


def score_primary(exam: Exam, facts: list[LesionFacts], context: ClinicalContext) -> Noted[PrimaryScore | None]:
    """Score the prostate where it is in place and untreated; the highest lesion wins, null where it cannot be told.

    ``reader_confirm`` means: SUVmax is above the cut-off, which is not transferred to this tracer without the reader.
    """
    lesions = [one for one in facts if one.region is Region.PROSTATE and not _is_benign(one)]
    if not lesions:
        return Noted(None)
    obstacle = _obstacle(exam, context)
    ids = [one.lesion_id for one in lesions]
    if obstacle:
        entry = traced("primary", {"lesions": ids, "obstacle": obstacle}, None)
        message = f"PRIMARY score does not apply: {obstacle}"
        return Noted(None, (entry,), (Flag(code="primary_not_applicable", lesions=ids, message=message),))
    scores = [_score(one, exam.tracer) for one in lesions]
    result = _highest(scores)
    inputs = {one.lesion_id: {"suvmax": one.lesion.suvmax, "pattern": one.lesion.primary_pattern} for one in lesions}
    return Noted(result, (traced("primary", inputs, result),), tuple(_flags(lesions)))


def _is_benign(one: LesionFacts) -> bool:
    return one.biopsy == "benign" or one.is_physiologic


def _obstacle(exam: Exam, context: ClinicalContext) -> str | None:
    status = exam.clinical.prostate_status
    if status is None:
        return "it is not known whether the prostate is in place and untreated"
    if status != "in_situ":
        return f"the prostate is {status}"
    if context.kinds() & _TREATS_THE_PROSTATE:
        return "prostate cancer has been treated"
    return None


def _score(one: LesionFacts, tracer: Tracer | None) -> PrimaryScore | None:
    values = rule("primary").values
    suvmax = one.lesion.suvmax if (one.lesion.suvmax or 0.0) >= 0 else None
    if suvmax is not None and suvmax > values["suvmax_above"]:
        return "reader_confirm" if tracer is Tracer.PSMA_1007 else 5
    pattern = _PATTERNS.get((one.lesion.primary_pattern or "").strip().casefold().replace(" ", "_").replace("-", "_"))
    return int(values[pattern]) if pattern and suvmax is not None else None


def _highest(scores: list[PrimaryScore | None]) -> PrimaryScore | None:
    if 5 in scores:
        return 5
    if "reader_confirm" in scores:
        return "reader_confirm"
    numbers = [score for score in scores if isinstance(score, int)]
    return max(numbers) if numbers and len(numbers) == len(scores) else None


def _flags(lesions: list[LesionFacts]) -> Iterator[Flag]:
    limit = rule("primary").values["suvmax_above"]
    for one in lesions:
        if one.lesion.suvmax == limit:
            message = f"SUVmax is exactly {limit:.1f}: PRIMARY by the pattern, not 5; some texts put 12 itself into 5"
            yield Flag(code="score_borderline", lesions=[one.lesion_id], message=message)
        elif (one.lesion.suvmax or 0.0) < limit and not one.lesion.primary_pattern:
            message = "the uptake pattern in the prostate (primary_pattern) is not provided: no PRIMARY score"
            yield Flag(code="missing_value", lesions=[one.lesion_id], message=message)
