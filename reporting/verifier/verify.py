"""The verifier: sentences and whole reports against their exam and assessment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from reporting.draft import Check, Verification
from reporting.verifier.problems import Problem
from reporting.verifier.reading import read_sentence
from reporting.verifier.report import report_problems
from reporting.verifier.sentence import sentence_problems
from reporting.verifier.view import View

CHECKS = (
    "sections",
    "citations",
    "lesion_ids",
    "numbers",
    "sides",
    "regions",
    "categories",
    "stage",
    "statements",
    "reference",
    "ct",
    "response",
    "suggestions",
    "rationale",
    "contradictions",
    "omissions",
    "context",
    "gaps",
    "forbidden",
    "untrusted_text",
)
_MOST_DETAILS = 5


@dataclass(frozen=True)
class Line:
    """One sentence to verify: the section it stands in, its rendered text, and what it cites."""

    section: str
    text: str
    cites: tuple[str, ...]


class Verifier:
    """Re-reads rendered text and compares it with the exam and its assessment.

    Args:
        exam: The exam; the report is read in its language.
        assessment: What the rules made of it.
    """

    def __init__(self, exam: Exam, assessment: Assessment) -> None:
        self._view = View(exam, assessment)

    def problems(self, line: Line) -> list[Problem]:
        """Return what is wrong with one sentence by itself, empty where nothing is."""
        reading = read_sentence(line.section, line.text, line.cites, self._view.lexicon)
        return list(sentence_problems(reading, self._view))

    def verify(self, lines: Sequence[Line]) -> Verification:
        """Check a whole report; every check is listed, passed or not."""
        readings = [read_sentence(line.section, line.text, line.cites, self._view.lexicon) for line in lines]
        found = [problem for reading in readings for problem in sentence_problems(reading, self._view)]
        found += report_problems(readings, self._view)
        return Verification(checks=[_check(name, found) for name in CHECKS])


def _check(name: str, found: Iterable[Problem]) -> Check:
    details = list(dict.fromkeys(problem.detail for problem in found if problem.check == name))
    more = f" (and {len(details) - _MOST_DETAILS} more)" if len(details) > _MOST_DETAILS else ""
    return Check(name=name, passed=not details, detail="; ".join(details[:_MOST_DETAILS]) + more)
