"""What the reader has to know beside the stage: doubtful references, conflicts, pitfalls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fedpsma.domain.assessment import Flag, PsmaRads
from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region
from fedpsma.staging.expression import References, Score
from fedpsma.staging.facts import (
    LesionFacts,
    is_called_benign,
    is_called_indeterminate,
    is_called_malignant,
    short_axis_mm,
)
from fedpsma.staging.options import StagingOptions
from fedpsma.staging.psma_rads import COUNTED, INDETERMINATE, is_unspecific_bone_uptake
from fedpsma.staging.rulebook import rule
from fedpsma.text.clinical_context import ClinicalContext

Categories = dict[str, PsmaRads | None]
_BENIGN: frozenset[PsmaRads] = frozenset({"1", "2"})
_URINARY_SITES = frozenset({Region.PROSTATE, Region.PROSTATE_BED, Region.SEMINAL_VESICLE, Region.BLADDER_WALL})


def tumour_sink(exam: Exam, counted: Sequence[LesionFacts], options: StagingOptions) -> Iterator[Flag]:
    """Flag a tumour load, or reference organs, at which the expression score may be overestimated."""
    limit, volume = rule("tumour_sink").values["volume_ml"], exam.psma_vol_ml
    known = sum(one.lesion.volume_ml or 0.0 for one in counted) if volume is None else volume
    reasons = []
    if known >= limit:
        named = "counted lesions together" if volume is None else "PSMA volume"
        reasons.append(f"{named} {known:.1f} ml")
    centiles = {"parotid": options.parotid_low_suv, "liver": options.liver_low_suv}
    for organ, centile in centiles.items():
        value = getattr(exam.reference_suv, organ)
        if centile is not None and value is not None and 0 <= value < centile:
            reasons.append(f"{organ} SUVmean {value:.1f} below the site's 5th centile {centile:.1f}")
    if reasons:
        message = f"{', '.join(reasons)}: expression score may be overestimated because reference organs are low"
        yield Flag(code="tumour_sink", message=message)
    before = exam.prior.psma_vol_ml if exam.prior else None
    if before is not None and volume is not None and (before >= limit) is not (volume >= limit):
        message = f"PSMA volume {before:.1f} ml before, {volume:.1f} ml now: changes of SUV mix uptake with tumour load"
        yield Flag(code="tumour_sink", message=message)


def psma_negative(facts: Sequence[LesionFacts], categories: Categories, scores: dict[str, Score]) -> Iterator[Flag]:
    """Flag disease without relevant uptake, as facts; eligibility for a therapy is never stated."""
    for one in facts:
        proven = one.biopsy == "prostate_cancer" and scores[one.lesion_id].high <= 1
        if categories[one.lesion_id] != "3D" and not proven and not _is_large_and_weak(one, scores[one.lesion_id]):
            continue
        size = f"{one.diameter_mm:.0f} mm " if one.diameter_mm is not None else ""
        kind = "visceral disease" if one.region.facts.site == "organ" else "disease"
        message = (
            f"uptake not above the reference organ in a {size}lesion ({one.region.facts.name_en}): "
            f"PSMA-negative {kind}, relevant for RLT selection, discuss in MDT"
        )
        yield Flag(code="psma_negative_lesion", lesions=[one.lesion_id], message=message)


def _is_large_and_weak(one: LesionFacts, score: Score) -> bool:
    limit = rule("psma_negative").values["node_short_axis_mm"]
    axis = short_axis_mm(one.lesion, one.ct) if one.region.is_node else None
    return axis is not None and axis >= limit and score.high <= 1


def reference_organ(
    facts: Sequence[LesionFacts], categories: Categories, references: References, context: ClinicalContext
) -> Iterator[Flag]:
    """Flag a reference organ that holds disease or was removed."""
    involved = [
        one.lesion_id
        for one in facts
        if _lies_in(one, references.organ_name) and categories[one.lesion_id] in COUNTED | INDETERMINATE
    ]
    if involved:
        message = (
            f"the {references.organ_name} is the reference organ and holds lesions: measure a free area and say so"
        )
        yield Flag(code="reference_organ_involved", lesions=involved, message=message)
    if references.organ_name == "spleen" and context.has("splenectomy"):
        message = "the spleen is the reference organ of this tracer, but a splenectomy is reported"
        yield Flag(code="reference_organ_involved", message=message)
    if context.has("sialadenitis"):
        message = "the parotid is a reference organ, but a sialadenitis is reported: its uptake may be low"
        yield Flag(code="reference_organ_involved", message=message)


def _lies_in(one: LesionFacts, organ: str) -> bool:
    if organ == "liver":
        return one.region is Region.LIVER
    text = (one.lesion.ct_correlate or "").casefold()
    return one.region is Region.OTHER_ORGAN and ("spleen" in text or "splenic" in text or "milz" in text)


def model_conflicts(
    exam: Exam, facts: Sequence[LesionFacts], categories: Categories, options: StagingOptions
) -> Iterator[Flag]:
    """Flag lesions where the model's probability or the table's label disagrees with the rules.

    A probability is called uncertain where nothing else says so already.
    """
    band = rule("model_band").values
    for one in facts:
        category, probability = categories[one.lesion_id], one.lesion.model_prob
        doubted = exam.tracer is not None and category == "3B" and is_unspecific_bone_uptake(one, exam.tracer, options)
        stated = category in INDETERMINATE or is_called_indeterminate(one.lesion)
        if probability is not None and band["low"] <= probability <= band["high"] and not stated:
            message = f"model probability {probability:.2f} is uncertain; it decides nothing by itself"
            yield Flag(code="model_uncertain", lesions=[one.lesion_id], message=message)
        if probability is not None and _disagree(
            probability > band["high"], probability < band["low"], category, doubted
        ):
            message = f"model probability {probability:.2f}, but the rules propose PSMA-RADS {category}"
            yield Flag(code="model_rule_conflict", lesions=[one.lesion_id], message=message)
        malignant, benign = is_called_malignant(one.lesion), is_called_benign(one.lesion)
        if _disagree(malignant, benign, category, doubted=False):
            called = "malignant" if malignant else "benign"
            message = f"the table calls the lesion {called}, the rules propose PSMA-RADS {category}"
            yield Flag(code="label_override_suggested", lesions=[one.lesion_id], message=message)


def _disagree(positive: bool, negative: bool, category: PsmaRads | None, doubted: bool) -> bool:
    return (positive and (category in _BENIGN or doubted)) or (negative and category in COUNTED)


def pitfalls(exam: Exam, facts: Sequence[LesionFacts]) -> Iterator[Flag]:
    """Flag urine and artefacts that the texts name."""
    for one in facts:
        if "urinary" in one.ct.marks:
            note = "" if exam.technique.furosemide else "; furosemide not given or not stated"
            place = "near the site" if one.region in _URINARY_SITES or one.region.is_node else "at the site"
            message = f"urinary activity is named {place}{note}: check the course of ureter, bladder and urethra"
            yield Flag(code="urinary_activity", lesions=[one.lesion_id], message=message)
        if "artefact" in one.ct.marks:
            message = "the correlate text names a possible artefact: check the images without attenuation correction"
            yield Flag(code="artefact", lesions=[one.lesion_id], message=message)
