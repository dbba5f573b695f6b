"""What is counted over a whole draft: stage, categories, rationale, mandatory parts, gaps and contradictions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from reporting.draft import Section, Sentence
from reporting.phrases import phrases
from reporting.plan.findings import FINDINGS

Scores = dict[str, tuple[int, int]]
_MANDATORY = (
    "clinical_information",
    "technique",
    "comparison",
    "reference_uptake",
    *FINDINGS,
    "indeterminate",
    "incidental",
    "quantities",
    "impression",
)
_AXES = {"pelvic_nodes": "N", "extrapelvic_nodes": "M1a", "bone": "M1b", "visceral": "M1c"}
_IDS = re.compile(r"\[([^\[\]]*)\]")
_CATEGORY = re.compile(r"PSMA-RADS (\d[A-D]?T?)\)?(?: \[|\W*$|[^\[]*\[)")
_SCORE = re.compile(r"(?:expression score|Expressions-Score) (\d)?")
_LIKELY = 0.3


def report_scores(exam: Exam, assessment: Assessment, sections: Sequence[Section]) -> Scores:
    """Count in the text of one draft what the rules decided; where the frameworks do not apply, only the gaps."""
    by_name = {section.name: section.sentences for section in sections}
    applies = assessment.mitnm is not None
    checks: dict[str, Iterable[bool]] = {
        "stage stated": [_stage(assessment, by_name)] if applies else [],
        "category right": _categories(assessment, by_name),
        "expression score right": _expression(assessment, by_name),
        "indeterminate named": _indeterminate(assessment, by_name, named=True),
        "indeterminate not over-called": _indeterminate(assessment, by_name, named=False),
        "rationale right": _rationale(exam, assessment, by_name),
        "mandatory parts": _mandatory(exam, assessment, by_name) if applies else [],
        "no contradiction": [not any(_contradictions(exam, assessment, by_name))] if applies else [],
        "gaps named": _gaps(exam, by_name),
    }
    answers = {name: list(found) for name, found in checks.items()}
    return {name: (sum(found), len(found)) for name, found in answers.items()}


_Parts = Mapping[str, Sequence[Sentence]]


def _findings(parts: _Parts) -> Iterator[Sentence]:
    return (one for name in (*FINDINGS, "incidental") for one in parts.get(name, ()))


def _named(sentence: Sentence) -> list[str]:
    return [part.strip() for found in _IDS.findall(sentence.text) for part in found.split(",")]


def _stage(assessment: Assessment, parts: _Parts) -> bool:
    return any(f": {assessment.mitnm_string}." in one.text for one in parts.get("impression", ()))


def _categories(assessment: Assessment, parts: _Parts) -> Iterator[bool]:
    """Yield for each category that a finding of one lesion states whether it is that lesion's."""
    for one in _findings(parts):
        ids = [name for name in _named(one) if name in assessment.psma_rads]
        if len(ids) == 1 and (said := _CATEGORY.search(one.text)):
            yield said[1] == assessment.psma_rads[ids[0]]


def _expression(assessment: Assessment, parts: _Parts) -> Iterator[bool]:
    for one in _findings(parts):
        said, ids = _SCORE.search(one.text), _named(one)
        if said is None or len(ids) == 0:
            continue
        score = assessment.expression.get(ids[-1])
        yield said[1] == (None if score is None else str(score))


def _indeterminate(assessment: Assessment, parts: _Parts, *, named: bool) -> Iterator[bool]:
    told = {name for one in parts.get("indeterminate", ()) for name in _named(one)}
    for lesion, category in assessment.psma_rads.items():
        if (category is not None and category.startswith("3")) == named:
            yield (lesion in told) == named


def _rationale(exam: Exam, assessment: Assessment, parts: _Parts) -> Iterator[bool]:
    """Yield for each stated element of a rationale whether the rules gave it for that lesion."""
    words = phrases(exam.language)
    given = {item.lesion: item.elements for item in assessment.indeterminate}
    labels = {words.word("rationale", name).partition(":")[0] for elements in given.values() for name in elements}
    for one in parts.get("indeterminate", ()):
        label, _, rest = one.text.partition(": ")
        lesion = (_named(one) or [""])[-1]
        if label in labels and lesion in given:
            said = rest.rpartition(" [")[0]
            yield any(
                said == element and words.word("rationale", name).partition(":")[0] == label
                for name, element in given[lesion].items()
            )


def _mandatory(exam: Exam, assessment: Assessment, parts: _Parts) -> Iterator[bool]:
    yield from (bool(parts.get(name)) for name in _MANDATORY)
    told = {name for one in _findings(parts) for name in _named(one)}
    for lesion in exam.lesions:
        category = assessment.psma_rads.get(lesion.lesion_id) or ""
        if category not in ("1", "2") or (lesion.model_prob or 0) >= _LIKELY:
            yield lesion.lesion_id in told


def _contradictions(exam: Exam, assessment: Assessment, parts: _Parts) -> Iterator[bool]:
    """Yield whether findings, impression and stage speak against each other."""
    stage = assessment.mitnm_string or ""
    certain = {one for one, category in assessment.psma_rads.items() if category in ("4", "5")}
    for name, axis in _AXES.items():
        sentences = parts.get(name, ())
        positive = any(set(_named(one)) & certain for one in sentences)
        free = any(one.text == phrases(exam.language).word("finding", f"negative_{name}") for one in sentences)
        yield free and any(_named(one) for one in sentences)
        yield free and (axis in stage.split() or bool(axis == "N" and re.search(r"\bN[12]", stage)))
        yield positive and not re.search(rf"\b{axis}[12a-c]?", stage.replace("N0", "").replace("M0", ""))
    lists = [phrases(exam.language).word("answer", key).partition(":")[0] for key in ("local_list", "metastases_list")]
    for one in parts.get("impression", ()):
        if one.text.partition(":")[0] in lists:
            yield not set(_named(one)) <= certain


def _gaps(exam: Exam, parts: _Parts) -> Iterator[bool]:
    """Yield for each value that nobody gave whether its gap is visible where the value would stand."""
    words = phrases(exam.language)
    clinical, technique, reference = exam.clinical, exam.technique, exam.reference_suv
    wanted: dict[str, dict[str, object]] = {
        "clinical_information": {
            "age": clinical.age,
            "psa": clinical.psa_ng_ml,
            "psa_history": clinical.psa_history,
            "gleason": clinical.gleason,
            "prior_therapy": clinical.prior_therapy,
            "current_therapy": clinical.current_therapy,
        },
        "technique": {
            "activity": technique.activity_mbq,
            "uptake_time": technique.uptake_min,
            "weight": technique.weight_kg,
            "furosemide": technique.furosemide,
            "ct": technique.ct,
            "coverage": technique.not_covered,
        },
        "reference_uptake": {name: getattr(reference, name) for name in type(reference).model_fields},
    }
    for section, fields in wanted.items():
        text = " ".join(one.text for one in parts.get(section, ()))
        yield from ((words.gap(name) in text) == (value is None) for name, value in fields.items())
    for lesion in exam.lesions:
        about = " ".join(one.text for one in _findings(parts) if lesion.lesion_id in _named(one))
        for name, value in (("suvmax", lesion.suvmax), ("size", lesion.size_mm)):
            if value is None:
                yield words.gap(name) in about
