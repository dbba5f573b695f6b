"""Clinical information, technique, comparison and reference uptake."""

from __future__ import annotations

import re

from fedpsma.domain.exam import PriorLesion
from reporting.free_text import quoted
from reporting.plan.case import Case
from reporting.plan.model import PlannedSection, PlannedSentence
from reporting.render import measured, number

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def context_sections(case: Case) -> list[PlannedSection]:
    """Plan the four sections before the findings; a value that nobody gave stays a visible gap."""
    return [
        PlannedSection("clinical_information", _clinical(case)),
        PlannedSection("technique", _technique(case)),
        PlannedSection("comparison", _comparison(case)),
        PlannedSection("reference_uptake", _reference(case)),
    ]


def psa(case: Case) -> str | None:
    """Write the PSA with its unit."""
    return measured(case.exam.clinical.psa_ng_ml, case.words.word("unit", "psa"), case.language, decimals=1)


def _say(case: Case, key: str, values: dict[str, str | None], *cites: str) -> PlannedSentence:
    return PlannedSentence(case.words.word("context", key), values, cites)


def _clinical(case: Case) -> tuple[PlannedSentence, ...]:
    clinical, language = case.exam.clinical, case.language
    status = clinical.prostate_status
    return (
        _say(case, "indication", {"indication": quoted(case.exam.indication, "indication", language)}, "indication"),
        _say(
            case,
            "patient",
            {
                "age": None if clinical.age is None else str(clinical.age),
                "prostate_status": None if status is None else case.words.word("context", status),
            },
            "clinical.age",
            "clinical.prostate_status",
        ),
        _say(
            case,
            "psa",
            {"psa": psa(case), "psa_history": quoted(clinical.psa_history, "psa_history", language)},
            "clinical.psa_ng_ml",
            "clinical.psa_history",
        ),
        _say(case, "histology", {"gleason": quoted(clinical.gleason, "gleason", language)}, "clinical.gleason"),
        *(_therapy(case, name) for name in ("prior_therapy", "current_therapy")),
    )


def _therapy(case: Case, name: str) -> PlannedSentence:
    given: list[str] | None = getattr(case.exam.clinical, name)
    value = None if given is None else case.words.word("context", "none_stated")
    if given:
        value = ", ".join(filter(None, (quoted(text, name, case.language) for text in given))) or None
    return _say(case, name, {name: value}, f"clinical.{name}")


def _technique(case: Case) -> tuple[PlannedSentence, ...]:
    technique, words, language = case.exam.technique, case.words, case.language
    furosemide = None
    if technique.furosemide is not None:
        furosemide = words.word("context", "given" if technique.furosemide else "not_given")
    return (
        _say(
            case,
            "technique",
            {
                "tracer": case.exam.tracer,
                "activity": measured(technique.activity_mbq, words.word("unit", "mbq"), language, decimals=0),
                "uptake_time": measured(technique.uptake_min, words.word("unit", "min"), language, decimals=0),
                "weight": measured(technique.weight_kg, words.word("unit", "kg"), language, decimals=0),
            },
            "tracer",
            "technique.activity_mbq",
            "technique.uptake_min",
            "technique.weight_kg",
        ),
        _say(
            case,
            "technique_ct",
            {"furosemide": furosemide, "ct": quoted(technique.ct, "ct", language), "coverage": _coverage(case)},
            "technique.furosemide",
            "technique.ct",
            "technique.not_covered",
        ),
    )


def _coverage(case: Case) -> str | None:
    """Write what of the body was imaged; what nobody said stays a gap."""
    if case.exam.technique.not_covered is None:
        return None
    if not case.not_covered:
        return case.words.word("context", "covered")
    return case.words.word("context", "not_covered").replace("{sites}", case.named(case.not_covered))


def _comparison(case: Case) -> tuple[PlannedSentence, ...]:
    prior = case.exam.prior
    if prior is None:
        return (_say(case, "no_prior", {}, "prior"),)
    date = prior.date if prior.date and _DATE.fullmatch(prior.date) else quoted(prior.date, "date", case.language)
    values = {
        "modality": quoted(prior.modality, "modality", case.language),
        "date": date,
        "prior_tracer": prior.tracer,
    }
    sentences = [_say(case, "comparison", values, "prior.modality", "prior.date", "prior.tracer")]
    if prior.tracer and case.exam.tracer and prior.tracer != case.exam.tracer:
        sentences.append(_say(case, "tracer_change", {}, "prior.tracer", "tracer"))
    sentences += [_resolved(case, row) for row in prior.lesions or [] if _has_gone(case, row)]
    return tuple(sentences)


def _has_gone(case: Case, row: PriorLesion) -> bool:
    is_of_the_prior = all(one.id != row.lesion_id for one in case.lesions)
    return is_of_the_prior and case.assessment.prior_change.get(row.lesion_id) == "resolved"


def _resolved(case: Case, row: PriorLesion) -> PlannedSentence:
    name = case.words.word("site_one", row.region.value)
    if row.side in ("L", "R", "B"):
        name = f"{case.words.word('side_before', row.side)}{name}{case.words.word('side_after', row.side)}"
    return _say(case, "resolved", {"site": name}, f"prior:{row.lesion_id}")


def _reference(case: Case) -> tuple[PlannedSentence, ...]:
    reference = case.exam.reference_suv
    organs = ("blood_pool", "liver", "spleen", "parotid")
    values = {organ: number(getattr(reference, organ), case.language, decimals=1) for organ in organs}
    sentences = [_say(case, "reference_all", values, *(f"reference_suv.{organ}" for organ in organs))]
    if case.assessment.expression_reference is not None:
        organ = case.words.word("context", case.assessment.expression_reference)
        named = {"tracer": case.exam.tracer, "reference": organ}
        sentences.append(_say(case, "reference_organ", named, "assessment.expression_reference"))
    return tuple(sentences)
