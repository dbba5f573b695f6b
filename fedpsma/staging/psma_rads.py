"""PSMA-RADS: a category proposed for each lesion from uptake, CT class, site, tracer and treatment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fedpsma.domain.assessment import Flag, FlagCode, PsmaRads
from fedpsma.domain.exam import Lesion
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.staging.expression import Score, Uptake
from fedpsma.staging.facts import LesionFacts, is_called_malignant
from fedpsma.staging.options import StagingOptions
from fedpsma.staging.rulebook import Noted, traced
from fedpsma.text.clinical_context import ClinicalContext

INDETERMINATE: frozenset[PsmaRads] = frozenset({"3A", "3B", "3C", "3D"})
COUNTED: frozenset[PsmaRads] = frozenset({"4", "5"})
_RANKING: tuple[PsmaRads, ...] = ("5", "4", "3A", "3B", "3C", "3D", "5T", "2", "1")


@dataclass(frozen=True)
class Proposal:
    """A category with the reason for it; the category is null where the reader must decide."""

    category: PsmaRads | None
    reason: str


@dataclass(frozen=True)
class Surroundings:
    """What decides beside the lesion itself: tracer, treatment and the patient's other conditions."""

    tracer: Tracer
    treated: frozenset[str]
    context: ClinicalContext
    options: StagingOptions


def propose_categories(
    facts: list[LesionFacts], scores: dict[str, Score], around: Surroundings
) -> Noted[dict[str, PsmaRads | None]]:
    """Propose a category for every lesion, with a trace entry each and flags where the reader is asked."""
    categories: dict[str, PsmaRads | None] = {}
    trace = []
    flags: list[Flag] = []
    for one in facts:
        score = scores[one.lesion_id]
        proposal = propose(one, score, around)
        categories[one.lesion_id] = proposal.category
        inputs = {
            "lesion": one.lesion_id,
            "region": one.region,
            "uptake": list(score.uptakes),
            "ct_class": one.ct.ct_class,
            "treated": one.lesion_id in around.treated,
            "reason": proposal.reason,
        }
        trace.append(traced(_rule_name(proposal), inputs, proposal.category))
        flags += _open_flags(one, score, proposal)
    flags += _unspecific_bone_questions(facts, categories, around.tracer)
    return Noted(categories, tuple(trace), tuple(flags))


def propose(one: LesionFacts, score: Score, around: Surroundings) -> Proposal:
    """Propose a category; where the score is undetermined, only what all possible scores have in common.

    What a reader decided stands.
    """
    if one.lesion.reader_category is not None:
        return Proposal(one.lesion.reader_category, "given by the reader")
    proposals = [_for_uptake(uptake, one, around) for uptake in score.uptakes]
    if len({proposal.category for proposal in proposals}) == 1:
        return proposals[0]
    if around.options.label_decides and score.low >= 1 and is_called_malignant(one.lesion):
        return Proposal(proposals[-1].category, "label decides between low and intense uptake")
    return Proposal(None, "uptake undetermined")


def may_count(one: LesionFacts, scores: dict[str, Score], around: Surroundings) -> bool:
    """Whether one of the uptake levels that are still possible would make the lesion count."""
    levels = scores[one.lesion_id].uptakes
    return one.biopsy is None and any(_for_uptake(uptake, one, around).category in COUNTED for uptake in levels)


def overall_category(categories: Iterable[PsmaRads | None]) -> PsmaRads | None:
    """Return the highest category of the scan; null where no lesion has one.

    Example:
        >>> overall_category(["2", "5T", "3B"])
        '3B'
    """
    present = set(categories)
    return next((category for category in _RANKING if category in present), None)


def _for_uptake(uptake: Uptake, one: LesionFacts, around: Surroundings) -> Proposal:
    if one.biopsy == "benign":
        return Proposal("1", "biopsy benign")
    if one.lesion_id in around.treated and uptake != "intense":
        return Proposal("5T", "treated metastasis without relevant residual uptake")
    if one.is_physiologic:
        return Proposal("1", "physiological site")
    if one.ct.ct_class == "benign":
        return Proposal("1", "pathognomonic benign on CT")
    if uptake == "none":
        return _without_uptake(one)
    return _low(one) if uptake == "low" else _intense(one, around)


def _without_uptake(one: LesionFacts) -> Proposal:
    if one.ct.ct_class == "suspicious":
        return Proposal("3D", "suspicious on CT without uptake")
    return Proposal("1", "no uptake")


def _low(one: LesionFacts) -> Proposal:
    site = one.region.facts.site
    if site == "organ":
        if one.ct.ct_class == "suspicious":
            return Proposal("3D", "suspicious organ lesion with low uptake")
        return Proposal("2", "low uptake in an organ")
    if site == "bone":
        if one.ct.ct_class == "degenerative":
            return Proposal("2", "low uptake in degenerative bone change")
        return Proposal("3B", "equivocal bone uptake")
    if site == "typical_soft_tissue":
        return Proposal("3A", "equivocal uptake in a typical soft tissue site")
    return Proposal("2", "low uptake in an atypical soft tissue site")


def _intense(one: LesionFacts, around: Surroundings) -> Proposal:
    suspicious = one.ct.ct_class == "suspicious"
    if one.biopsy != "prostate_cancer":
        doubt = _reason_for_doubt(one, around)
        if doubt:
            return doubt
    if suspicious:
        return Proposal("5", "intense uptake with a matching CT finding")
    return Proposal("4", "intense uptake without a definitive CT finding")


def _reason_for_doubt(one: LesionFacts, around: Surroundings) -> Proposal | None:
    if one.region.facts.site == "highly_atypical" or one.region.facts.mitnm_axis is None:
        return Proposal("3C", "intense uptake in a highly atypical site")
    if "other_primary" in one.ct.marks or one.biopsy == "other_malignancy":
        return Proposal("3C", "looks like another primary tumour")
    if is_unspecific_bone_uptake(one, around.tracer, around.options):
        return Proposal("3B", "unspecific bone uptake of this tracer")
    return _benign_explanation(one, around.context) if around.options.benign_explanations else None


def _benign_explanation(one: LesionFacts, context: ClinicalContext) -> Proposal | None:
    if _is_explained_node(one, context):
        return Proposal("3C", "intense uptake in nodes with a benign explanation")
    if one.region.is_node and one.ct.ct_class == "none" and "urinary" in one.ct.marks:
        return Proposal("3A", "uptake in the course of the ureter without a node on CT")
    if one.region.is_bone and one.ct.ct_class == "degenerative":
        return Proposal("3B", "intense uptake in degenerative or traumatic bone change")
    return None


def is_unspecific_bone_uptake(one: LesionFacts, tracer: Tracer, options: StagingOptions) -> bool:
    """Whether the override for unspecific bone uptake applies: this tracer, no CT correlate, SUVmax below its limit."""
    suvmax = one.lesion.suvmax
    return (
        tracer.facts.unspecific_bone_uptake
        and one.region.is_bone
        and one.region is not Region.BONE_MARROW_DIFFUSE
        and one.ct.ct_class == "none"
        and suvmax is not None
        and 0 <= suvmax < options.unspecific_bone_suvmax
    )


def _is_explained_node(one: LesionFacts, context: ClinicalContext) -> bool:
    if one.region is Region.LN_MEDIASTINAL_HILAR:
        return context.has("sarcoidosis", "tuberculosis") or "benign_node" in one.ct.marks
    vaccinated = [condition for condition in context.conditions if condition.name == "vaccination"]
    same_side = any(condition.side in (None, one.lesion.side) for condition in vaccinated)
    return one.region is Region.LN_AXILLARY and same_side


def _rule_name(proposal: Proposal) -> str:
    if proposal.reason.startswith("label decides"):
        return "psma_rads_label"
    return "unspecific_bone_uptake" if proposal.reason.startswith("unspecific bone") else "psma_rads"


def _open_flags(one: LesionFacts, score: Score, proposal: Proposal) -> Iterable[Flag]:
    if proposal.category is None:
        code = _why_open(one.lesion)
        message = f"no PSMA-RADS category and not counted: uptake undetermined (score {score.low} to {score.high})"
        yield Flag(code=code, lesions=[one.lesion_id], message=message)
    elif proposal.reason.startswith("label decides"):
        message = (
            f"category {proposal.category} rests on the label of the table because a reference is missing; confirm"
        )
        yield Flag(code="missing_reference", lesions=[one.lesion_id], message=message)
    elif _rule_name(proposal) == "unspecific_bone_uptake":
        message = (
            "bone uptake without CT correlate on a tracer known for unspecific bone uptake: set to 3B, not counted"
        )
        yield Flag(code="label_override_suggested", lesions=[one.lesion_id], message=message)


def _why_open(lesion: Lesion) -> FlagCode:
    values = [lesion.suvmax, lesion.suvmean, lesion.suvpeak]
    if lesion.suvmax is None:
        return "missing_value"
    impossible = any(value is not None and (value < 0 or value > lesion.suvmax) for value in values)
    return "data_error" if impossible else "missing_reference"


def _unspecific_bone_questions(
    facts: list[LesionFacts], categories: dict[str, PsmaRads | None], tracer: Tracer
) -> Iterable[Flag]:
    """Ask, without setting anything, about a solitary rib focus without CT correlate and about unknown CT."""
    bones = [one for one in facts if one.region.is_bone and categories[one.lesion_id] in COUNTED]
    ribs = sum(one.region is Region.BONE_RIB for one in facts)
    for one in bones:
        if one.biopsy == "prostate_cancer":
            continue
        if one.region is Region.BONE_RIB and ribs == 1 and one.ct.ct_class == "none":
            message = "solitary rib focus without CT correlate: usually benign; should it be 3B?"
            yield Flag(code="label_override_suggested", lesions=[one.lesion_id], message=message)
        elif tracer.facts.unspecific_bone_uptake and one.ct.ct_class is None:
            message = "the CT correlate is not stated: without one this would be unspecific bone uptake (3B)"
            yield Flag(code="label_override_suggested", lesions=[one.lesion_id], message=message)
