"""What is counted in the text of a draft: a plain reader that shares nothing with the verifier behind the gate.

Each score is a pair (right, all) of a draft, so that shares over many drafts can be drawn by draft.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fedpsma.domain.assessment import Assessment, ElementName
from fedpsma.domain.exam import Exam, Lesion
from fedpsma.domain.region import Region
from reporting.draft import Section, Sentence
from reporting.evaluation.report_scores import Scores, report_scores
from reporting.free_text import find_level
from reporting.phrases import phrases
from reporting.plan.findings import FINDINGS
from reporting.sentences import Language
from reporting.wording.facts import holds
from reporting.wording.vocabulary import marks

_NUMBER = re.compile(r"(?<![A-Za-z0-9.,])[-+]?\d+(?:[.,]\d+)?")
_IDS = re.compile(r"\[([^\[\]]*)\]")
_CODES = re.compile(r"PSMA-RADS \d[A-D]?T?|PI-RADS \d")
_TUMOUR = re.compile(r"prostate (?:cancer|tumour)")
_SIDES: dict[Language, dict[str, str]] = {
    "en": {"L": r"\bleft\b", "R": r"\bright\b", "B": r"\bbilateral\b"},
    "de": {"L": r"\blinks\b", "R": r"\brechts\b", "B": r"\bbeidseits\b"},
}
_REQUIRED: dict[str, tuple[ElementName, ...]] = {
    "3A": ("uptake_level", "ct_correlate", "site_prior", "clinical_context", "impact", "recommendation"),
    "3B": ("uptake_level", "ct_correlate", "site_prior", "multiplicity", "impact", "recommendation"),
    "3C": ("uptake_level", "ct_correlate", "site_prior", "alternative_diagnosis", "recommendation"),
    "3D": ("uptake_level", "ct_correlate", "clinical_context", "alternative_diagnosis", "impact", "recommendation"),
}
_SAID = ("uptake", "ct", "change", "class")


@dataclass(frozen=True)
class Worded:
    """A finding that a writer may word: its lesion, its codes, and the sentence that came of it, if any."""

    lesion: Lesion
    values: Mapping[str, str]
    sentence: Sentence | None


def draft_scores(exam: Exam, assessment: Assessment, sections: Sequence[Section], worded: Sequence[Worded]) -> Scores:
    """Count what is right in one draft: in its worded findings, and over all of it."""
    texts = [sentence for section in sections if section.name in FINDINGS for sentence in section.sentences]
    return {
        **finding_scores(exam, worded),
        "no invented lesion": _share(_known_sites(sentence, exam) for sentence in texts),
        "rationale complete": _share(_rationale(exam, assessment, sections)),
        **report_scores(exam, assessment, sections),
    }


def finding_scores(exam: Exam, worded: Sequence[Worded]) -> Scores:
    """Count what is right in worded findings."""
    said = [(one.lesion, one.sentence.text) for one in worded if one.sentence is not None]
    numbers = [pair for lesion, text in said for pair in _numbers(text, lesion, exam)]
    sided = ((lesion, text) for lesion, text in said if lesion.side in _SIDES["en"])
    return {
        "numeric fidelity": _share(traced for traced, _ in numbers),
        "numeric binding": _share(bound for _, bound in numbers),
        "lesions described": _share(one.sentence is not None for one in worded),
        "side right": _share(_side_right(text, lesion, exam.language) for lesion, text in sided),
        "region right": _share(_region_right(text, lesion, exam.language) for lesion, text in said),
        **_reasons(worded, exam.language),
        "own sentences": _share(one.sentence is not None and one.sentence.origin == "llm" for one in worded),
    }


def stated(values: Mapping[str, str], text: str, language: Language) -> tuple[int, int, int]:
    """Return how many facts a sentence states rightly, how many it states, and how many it should.

    Example:
        >>> codes = {"kind": "bone", "uptake": "low", "ct": "none", "change": "none_prior", "class": "indeterminate"}
        >>> stated(codes, "{site}: intense uptake, no CT correlate.", "en")
        (1, 2, 3)
    """
    plain, known = text.lower(), marks(language).names
    right = told = wanted = 0
    for name in _SAID:
        said = _said_values(plain, known[name].values)
        told += len(said)
        right += values[name] in said
        wanted += bool(known[name].values[values[name]])
    return right, told, wanted


def _said_values(text: str, values: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the values whose marks a text holds; a mark inside a longer one that was found does not count."""
    found = {mark: value for value, own in values.items() for mark in own if holds(text, mark)}
    return {value for mark, value in found.items() if not any(mark != other and mark in other for other in found)}


def _reasons(worded: Sequence[Worded], language: Language) -> Scores:
    counts = [
        stated(one.values, one.sentence.text if one.sentence else "", language)
        for one in worded
        if one.values["class"] in ("indeterminate", "other_tumour", "psma_negative")
    ]
    right, told, wanted = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
    return {"reasons precision": (right, told), "reasons recall": (right, wanted)}


def _share(right: Iterable[bool]) -> tuple[int, int]:
    answers = list(right)
    return sum(answers), len(answers)


def _numbers(text: str, lesion: Lesion, exam: Exam) -> Iterator[tuple[bool, bool]]:
    """Yield for each number whether it is one of this lesion, and whether it is that of the quantity it is named as."""
    rest = _IDS.sub(" ", text)
    for name in _names(lesion, exam.language):
        rest = re.sub(re.escape(name), " ", rest, flags=re.IGNORECASE)
    rest = _CODES.sub(" ", rest)
    before = [row.suvmax for row in (exam.prior.lesions or [])] if exam.prior else []
    for match in _NUMBER.finditer(rest):
        value = float(match[0].replace(",", "."))
        is_size = rest[match.end() :].lstrip().startswith("mm")
        is_suvmax = rest[: match.start()].rstrip().endswith("SUVmax")
        yield (
            value in (lesion.suvmax, lesion.size_mm, *before),
            ((is_size and value == lesion.size_mm) or (is_suvmax and value in (lesion.suvmax, *before))),
        )


def _names(lesion: Lesion, language: Language) -> list[str]:
    level = find_level(lesion)
    names = [phrases(language).word("site_one", lesion.region.value)]
    return [*names, level.name(language)] if level else names


def _side_right(text: str, lesion: Lesion, language: Language) -> bool:
    return [side for side, pattern in _SIDES[language].items() if re.search(pattern, text, re.IGNORECASE)] == [
        lesion.side
    ]


def _region_right(text: str, lesion: Lesion, language: Language) -> bool:
    return any(name.lower() in text.lower() for name in _names(lesion, language))


def _known_sites(sentence: Sentence, exam: Exam) -> bool:
    """Whether a sentence names lesions of the table only, and no site but theirs."""
    table = {lesion.lesion_id: lesion for lesion in exam.lesions}
    ids = [one.strip() for found in _IDS.findall(sentence.text) for one in found.split(",")]
    named = [one for one in ids if re.fullmatch(r"L\d+", one)]
    if any(one not in table for one in named):
        return False
    if sentence.origin != "llm":
        return True
    own = {name for one in named for name in _names(table[one], exam.language)}
    rest = _TUMOUR.sub(" ", sentence.text.lower())
    for name in sorted(own, key=len, reverse=True):
        rest = rest.replace(name.lower(), " ")
    every = (phrases(exam.language).word("site_one", region.value).lower() for region in Region)
    return not any(holds(rest, name) for name in every)


def _rationale(exam: Exam, assessment: Assessment, sections: Sequence[Section]) -> Iterator[bool]:
    words = phrases(exam.language)
    texts = [s.text for section in sections if section.name == "indeterminate" for s in section.sentences]
    for item in assessment.indeterminate:
        required = list(_REQUIRED[item.psma_rads])
        if exam.prior is not None and item.psma_rads in ("3A", "3B"):
            required.append("comparison")
        for name in required:
            label = words.word("rationale", name).partition(":")[0]
            yield any(text.startswith(f"{label}: ") and f"[{item.lesion}]" in text for text in texts)
