"""Checks that say what is missing or contradictory; nothing is repaired, every value is kept as given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from fedpsma.domain.assessment import Flag
from fedpsma.domain.exam import Exam, Lesion
from fedpsma.domain.region import Region
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.recip import least_volume_ml
from fedpsma.staging.rulebook import Noted, rule, traced

_SIDES = {"L": "left", "R": "right", "M": "midline", "B": "both sides"}
_TELLING_CT = frozenset({"none", "degenerative", "benign", "suspicious"})
_WITHOUT_SIDE_IS_FINE = frozenset({"physiologic"})


def check(exam: Exam, facts: list[LesionFacts]) -> Noted[None]:
    """Check the exam and each lesion; the result is in the flags."""
    errors = [*_below_zero(exam), *_exam_errors(exam), *(flag for one in facts for flag in _lesion_errors(exam, one))]
    gaps = [*_exam_gaps(exam), *(flag for one in exam.lesions for flag in _lesion_gaps(one))]
    inputs = {"lesions": len(exam.lesions)}
    result = {"data_error": len(errors), "missing_value": len(gaps)}
    return Noted(None, (traced("sanity", inputs, result),), (*errors, *gaps))


def check_volume(exam: Exam, counted: tuple[LesionFacts, ...], *, takes_up: bool) -> Iterator[Flag]:
    """Flag a whole-body volume that is smaller than the counted lesions, or 0 although they take up tracer."""
    given = exam.psma_vol_ml
    together = 0.0 if given is None else least_volume_ml(given, counted)
    if given is not None and together > given:
        message = f"PSMA volume {given:.1f} ml is smaller than the counted lesions together ({together:.1f} ml)"
        yield Flag(code="data_error", lesions=[one.lesion_id for one in counted], message=message)
    elif given == 0 and takes_up:
        message = "PSMA volume is 0 although counted lesions take up tracer: no response class from it"
        yield Flag(code="data_error", lesions=[one.lesion_id for one in counted], message=message)


def _lesion_errors(exam: Exam, one: LesionFacts) -> Iterator[Flag]:
    for message in (
        *_suv_errors(one.lesion),
        *_side_errors(one),
        *_text_errors(one),
        *_status_errors(exam, one.lesion),
    ):
        yield Flag(code="data_error", lesions=[one.lesion_id], message=f"{one.lesion_id}: {message}")


def _suv_errors(lesion: Lesion) -> Iterator[str]:
    for name in ("suvmax", "suvmean", "suvpeak", "volume_ml", "size_mm"):
        value = getattr(lesion, name)
        if value is not None and value < 0:
            yield f"{name} {value:g} is below zero; kept as given, and nothing is concluded from it"
    if lesion.suvmax is None or lesion.suvmax < 0:
        return
    for name, value in (("SUVmean", lesion.suvmean), ("SUVpeak", lesion.suvpeak)):
        if value is not None and value > lesion.suvmax:
            yield f"{name} {value:.1f} is above SUVmax {lesion.suvmax:.1f}; both kept as given"


def _side_errors(one: LesionFacts) -> Iterator[str]:
    side, legal = one.lesion.side, one.region.facts.sides
    if side is not None and side not in legal:
        allowed = ", ".join(legal) or "no side"
        yield f"side {side} is not possible in {one.region} (possible: {allowed})"
    opposite = {"L": "R", "R": "L"}.get(side or "")
    if opposite and side not in one.text_sides and opposite in one.text_sides and "B" not in one.text_sides:
        yield f"the table says {_SIDES[side or '']}, the correlate text says {_SIDES[opposite]}"


def _text_errors(one: LesionFacts) -> Iterator[str]:
    table, text = one.lesion.ct_class, one.text_ct.ct_class
    if table in _TELLING_CT and text in _TELLING_CT and table != text and "suspicious" in (table, text):
        yield f"the table gives the CT class {table}, the correlate text reads as {text}"
    axis = one.text_ct.short_axis_mm
    if not one.region.is_node or axis is None or one.lesion.size_mm is None:
        return
    if abs(axis - one.lesion.size_mm) > rule("sanity").values["short_axis_tolerance_mm"]:
        yield f"size {one.lesion.size_mm:g} mm in the table, {axis:g} mm in the correlate text"


def _status_errors(exam: Exam, lesion: Lesion) -> Iterator[str]:
    status = exam.clinical.prostate_status
    if lesion.region is Region.PROSTATE and status == "removed":
        yield (
            "a lesion of the prostate although the prostate is removed: T is undetermined, its code as the region says "
            "or Tr; is it the prostate bed?"
        )
    if lesion.region is Region.PROSTATE_BED and status in ("in_situ", "irradiated"):
        yield (
            "a lesion of the prostate bed although the prostate is in place: T is undetermined, Tr as the region says "
            "or T2u; is it the prostate?"
        )
    if lesion.t_extent == "Tr" and status == "in_situ":
        yield "local recurrence (Tr) although the prostate is in place and untreated"


def _exam_errors(exam: Exam) -> Iterator[Flag]:
    suv = exam.reference_suv
    organ = exam.tracer.facts.expression_reference if exam.tracer else None
    values = {"blood pool": suv.blood_pool, organ or "": getattr(suv, organ) if organ else None, "parotid": suv.parotid}
    known = [(name, value) for name, value in values.items() if value is not None and value >= 0]
    for (name, value), (next_name, next_value) in pairwise(known):
        if value < next_value:
            continue
        message = f"reference uptake of the {name} ({value:.1f}) is not below the {next_name} ({next_value:.1f})"
        if next_name == "parotid" and name == organ:
            # It happens: a salivary gland after radioligand therapy, with sialadenitis or under a tumour sink.
            message += ": a damaged or starved salivary gland, or a wrong value; scores between the two are open"
            yield Flag(code="reference_organ_involved", message=message)
        else:
            yield Flag(code="data_error", message=message)


def _below_zero(exam: Exam) -> Iterator[Flag]:
    for name, value in _exam_numbers(exam):
        if value is not None and value < 0:
            yield Flag(code="data_error", message=f"{name} {value:g} is below zero; kept as given, not used")


def _exam_numbers(exam: Exam) -> Iterator[tuple[str, float | None]]:
    yield "psma_vol_ml", exam.psma_vol_ml
    yield "clinical.psa_ng_ml", exam.clinical.psa_ng_ml
    for name in ("activity_mbq", "uptake_min", "weight_kg"):
        yield f"technique.{name}", getattr(exam.technique, name)
    for name in ("blood_pool", "liver", "spleen", "parotid"):
        yield f"reference_suv.{name}", getattr(exam.reference_suv, name)
    if exam.prior is not None:
        yield "prior.psma_vol_ml", exam.prior.psma_vol_ml
        for one in exam.prior.lesions or []:
            for name in ("suvmax", "volume_ml", "size_mm"):
                yield f"prior {one.lesion_id}: {name}", getattr(one, name)


def _exam_gaps(exam: Exam) -> Iterator[Flag]:
    clinical, technique = exam.clinical, exam.technique
    wanted = {
        "tracer": exam.tracer,
        "indication": exam.indication,
        "clinical.psa_ng_ml": clinical.psa_ng_ml,
        "clinical.prostate_status": clinical.prostate_status,
        "technique.activity_mbq": technique.activity_mbq,
        "technique.uptake_min": technique.uptake_min,
        "technique.furosemide": technique.furosemide,
        "technique.ct": technique.ct,
    }
    missing = [name for name, value in wanted.items() if value is None]
    if missing:
        yield Flag(code="missing_value", message=f"not provided: {', '.join(missing)}")


def _lesion_gaps(lesion: Lesion) -> Iterator[Flag]:
    missing = [] if lesion.suvmax is not None else ["suvmax"]
    facts = lesion.region.facts
    if lesion.side is None and {"L", "R"} <= set(facts.sides) and facts.site not in _WITHOUT_SIDE_IS_FINE:
        missing.append("side")
    if lesion.size_mm is None and lesion.volume_ml is None:
        missing.append("size_mm and volume_ml")
    if missing:
        message = f"{lesion.lesion_id}: not provided: {', '.join(missing)}"
        yield Flag(code="missing_value", lesions=[lesion.lesion_id], message=message)
