"""The verifier: sentences and whole reports against their exam and assessment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from reporting.draft import Check, Verification
from reporting.verifier.document import TABLE_SECTION, Document, Line
from reporting.verifier.linking import link_line
from reporting.verifier.problems import Problem
from reporting.verifier.reading import Reading, read_sentence
from reporting.verifier.report import foreign_problems, report_problems
from reporting.verifier.sentence import sentence_problems
from reporting.verifier.table import table_problems
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
    "coverage",
    "forbidden",
    "untrusted_text",
    "not_understood",
)
__all__ = ["CHECKS", "Line", "Verifier"]
_MOST_DETAILS = 5


class Verifier:
    """Re-reads rendered text and compares it with the exam and its assessment.

    What is wrong with a sentence by itself is found once, so that a draft is checked again quickly after a correction.

    Args:
        exam: The exam; the report is read in its language.
        assessment: What the rules made of it.
    """

    def __init__(self, exam: Exam, assessment: Assessment) -> None:
        self._view = View(exam, assessment)
        self._found: dict[Reading, tuple[Problem, ...]] = {}

    def problems(self, line: Line) -> list[Problem]:
        """Return what is wrong with one sentence by itself, empty where nothing is."""
        return list(self._problems(self._read(line)))

    def verify(self, lines: Sequence[Line]) -> Verification:
        """Check a whole draft; every check is listed, passed or not."""
        found = self.check(Document(tuple(lines), names_lesions=True))
        return Verification(checks=[_check(name, found) for name in CHECKS])

    def check(self, document: Document) -> list[Problem]:
        """Return everything that is wrong with a report, of this system or of another, in the order of its lines."""
        if not document.names_lesions:
            return self._check_foreign(document)
        lines = [line for line in document.lines if line.section != TABLE_SECTION]
        readings = [self._read(line) for line in lines]
        found = [
            _at(line, problem)
            for line, reading in zip(lines, readings, strict=True)
            for problem in self._problems(reading)
        ]
        return [*found, *table_problems(document.lines, self._view), *report_problems(readings, self._view)]

    def _check_foreign(self, document: Document) -> list[Problem]:
        found: list[Problem] = []
        readings: list[Reading] = []
        before: tuple[str, ...] = ()
        for line in document.lines:
            linked = link_line(line, self._view, before)
            before = linked.reading.ids or before
            readings.append(linked.reading)
            found += [_at(line, one) for one in (*linked.problems, *self._problems(linked.reading))]
        return [*found, *foreign_problems(readings, self._view)]

    def _problems(self, reading: Reading) -> tuple[Problem, ...]:
        if reading not in self._found:
            self._found[reading] = tuple(sentence_problems(reading, self._view))
        return self._found[reading]

    def _read(self, line: Line) -> Reading:
        return read_sentence(line.section, line.text, line.cites, self._view.lexicon)


def _at(line: Line, problem: Problem) -> Problem:
    return replace(problem, line=line.number)


def _check(name: str, found: Iterable[Problem]) -> Check:
    details = list(dict.fromkeys(problem.detail for problem in found if problem.check == name))
    more = f" (and {len(details) - _MOST_DETAILS} more)" if len(details) > _MOST_DETAILS else ""
    return Check(name=name, passed=not details, detail="; ".join(details[:_MOST_DETAILS]) + more)
