"""Statements that name no lesion: negative findings, the answer of the impression, the clinical frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from fedpsma.domain.region import Region
from reporting.verifier.lexicon import lexicon
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Reading
from reporting.verifier.view import View

REGION_SECTIONS = (
    "prostate",
    "seminal_vesicles",
    "pelvic_nodes",
    "extrapelvic_nodes",
    "bone",
    "visceral",
    "psma_negative",
)
_MAY_BE_OUTSIDE = {Region.BONE_SKULL, Region.BRAIN, Region.BONE_OTHER_EXTREMITY}
_OF_CANCER = ("malignant", "suspicious", "four_or_five", "indeterminate", "treated", "other_tumour", "psma_negative")


def statement_problems(text: str, section: str, view: View) -> Iterator[Problem]:
    """Yield what is wrong with statements outside any lesion, clause by clause."""
    for clause in text.split(";"):
        topic = next(
            (word.meaning for word in view.lexicon.words("topics", "topic") if word.pattern.search(clause)), None
        )
        negated = view.lexicon.pattern("negation").search(clause) is not None
        if topic is None:
            yield from _without_topic(clause, section, view, negated=negated)
            continue
        in_impression = section == "impression"
        present = _stage_says(topic, view) if in_impression else _table_says(topic, view)
        if not negated and not in_impression:
            yield Problem("lesion_ids", clause.strip(), "states a finding without a lesion of the table")
        elif negated is present:
            yield Problem("contradictions", clause.strip(), f"contradicts the table or the stage {view.stage_text}")
        elif in_impression:
            yield from _extent_problems(topic, clause, view)


def _without_topic(clause: str, section: str, view: View, *, negated: bool) -> Iterator[Problem]:
    if section in REGION_SECTIONS and _holds_words(clause):
        yield Problem("lesion_ids", clause.strip(), "states a finding without a lesion of the table")
    elif not speaks_of_cancer(clause) or view.lexicon.pattern("hedge").search(clause):
        return
    elif not negated:
        yield Problem("lesion_ids", clause.strip(), "states a finding without a lesion of the table")
    elif view.open_lesions:
        yield Problem("contradictions", clause.strip(), f"{', '.join(view.open_lesions)} are not benign")


def context_problems(reading: Reading, view: View) -> Iterator[Problem]:
    """Yield what is wrong with the statements about patient, technique and prior examination."""
    for word in view.lexicon.words("context", "claim"):
        said = word.pattern.search(reading.text)
        if said and not _CONTEXT[word.meaning](view):
            yield Problem("context", said[0], "is not what the exam says")


def speaks_of_cancer(clause: str) -> bool:
    """Whether a clause speaks of cancer, in whichever language: a draft in one may hold a sentence in the other."""
    claims = (*lexicon("en").claims, *lexicon("de").claims)
    return any(word.pattern.search(clause) for word in claims if word.meaning in _OF_CANCER)


def _holds_words(clause: str) -> bool:
    return any(character.isalpha() for character in clause)


def _table_says(topic: str, view: View) -> bool:
    """Whether the table holds something counted or indeterminate there."""
    if topic == "counted":
        return bool(view.counted)
    if topic == "empty":
        return bool(view.exam.lesions)
    if topic == "indeterminate":
        return bool(view.indeterminate)
    if topic == "psma_negative":
        return any(view.rads(one) == "3D" for one in view.exam.lesions)
    axes = {"extrapelvic_nodes": "M1a", "pelvic_nodes": "N", "bone": "M1b", "visceral": "M1c"}
    relevant = [one for one in (*view.counted, *view.indeterminate) if view.rads(one) != "3D"]
    if topic in ("local", "seminal_vesicles"):
        vesicle = topic == "seminal_vesicles"
        return any(
            one.region.facts.mitnm_axis == "T" and (one.region.value == "SEMINAL_VESICLE") is vesicle
            for one in relevant
        )
    return any(one.region.facts.mitnm_axis == axes.get(topic) for one in relevant)


def _stage_says(topic: str, view: View) -> bool:
    stage = view.assessment.mitnm
    if stage is None or topic in ("counted", "empty", "indeterminate", "psma_negative"):
        return _table_says(topic, view)
    if topic in ("local", "seminal_vesicles"):
        return stage.T != "T0"
    if topic == "pelvic_nodes":
        return stage.N != "N0"
    categories = {"extrapelvic_nodes": "M1a", "bone": "M1b", "visceral": "M1c"}
    return stage.M != ["M0"] if topic == "distant" else categories[topic] in stage.M


def _extent_problems(topic: str, clause: str, view: View) -> Iterator[Problem]:
    stage = view.assessment.mitnm
    if stage is None:
        return
    if topic == "distant" and stage.M != ["M0"]:
        words = view.lexicon.words("distant_categories", "category")
        said = [word.meaning for word in words if word.pattern.search(clause)]
        if said != sorted(set(stage.M)):
            yield Problem("contradictions", clause.strip(), f"the stage is {', '.join(stage.M)}")
    if topic == "pelvic_nodes" and stage.N != "N0":
        words = view.lexicon.words("node_extent", "N")
        said = ["N2" if word.meaning == "N2" else "N1" for word in words if word.pattern.search(clause)]
        if said != ["N2" if stage.N in ("N2", "N1b") else "N1"]:
            yield Problem("contradictions", clause.strip(), f"the stage is {stage.N}")
    recurrence = view.lexicon.pattern("local_recurrence").search(clause) is not None
    if topic == "local" and stage.T != "T0" and recurrence is not (stage.T == "Tr"):
        yield Problem("contradictions", clause.strip(), f"the stage is {stage.T}")


def _asked(view: View, pattern: str) -> bool:
    return re.search(pattern, view.exam.indication or "", re.IGNORECASE) is not None


def _prostatectomy(view: View) -> bool:
    told = " ".join(view.exam.clinical.prior_therapy or [])
    return (
        view.exam.clinical.prostate_status == "removed" or re.search("prostate[ck]tom", told, re.IGNORECASE) is not None
    )


def _same_tracer(view: View) -> bool:
    return view.exam.prior is not None and view.exam.prior.tracer == view.exam.tracer is not None


def _body_imaged(view: View) -> bool:
    """Whether nothing between skull base and thighs is known to lie outside the field of view."""
    return set(view.exam.technique.not_covered or ()) <= _MAY_BE_OUTSIDE


def _other_tracer(view: View) -> bool:
    prior = view.exam.prior
    return prior is not None and prior.tracer is not None and prior.tracer != view.exam.tracer


_CONTEXT: dict[str, Callable[[View], bool]] = {
    "furosemide_no": lambda view: view.exam.technique.furosemide is False,
    "furosemide_yes": lambda view: view.exam.technique.furosemide is True,
    "prostatectomy": _prostatectomy,
    "recurrence_asked": lambda view: _asked(view, r"recurr|relapse|rezidiv|\bBCR\b|rising PSA|PSA-Anstieg"),
    "primary_asked": lambda view: _asked(view, r"primary|initial|newly|prim[aä]r|erst"),
    "same_tracer": _same_tracer,
    "body_imaged": _body_imaged,
    "all_imaged": lambda view: view.exam.technique.not_covered == [],
    "in_situ": lambda view: view.exam.clinical.prostate_status == "in_situ",
    "removed": lambda view: view.exam.clinical.prostate_status == "removed",
    "irradiated": lambda view: view.exam.clinical.prostate_status == "irradiated",
    "no_prior": lambda view: view.exam.prior is None,
    "prior": lambda view: view.exam.prior is not None,
    "other_tracer": _other_tracer,
    "no_prior_therapy": lambda view: not view.exam.clinical.prior_therapy,
    "no_current_therapy": lambda view: not view.exam.clinical.current_therapy,
    "no_score": lambda view: view.assessment.expression_highest is None or view.assessment.expression_lowest is None,
    "no_recip": lambda view: view.assessment.recip is None,
    "primary_open": lambda view: not isinstance(view.assessment.primary_score, int),
    "not_a_psma_tracer": lambda view: view.assessment.mitnm is None,
    "no_stage": lambda view: view.assessment.mitnm is None,
    "uptake_not_compared": _other_tracer,
    "resolved": lambda view: view.exam.prior is not None,
}
