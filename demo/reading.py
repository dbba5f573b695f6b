"""A reading: open a case, draft its report, take the reader's edits, check them and keep the result."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from demo.library import Case
from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam, unknown_fields
from fedpsma.io.exam_file import read_exam
from fedpsma.staging import assess
from reporting.backend import Backend, WriterName, choose_backend
from reporting.draft import Draft, Section, Sentence
from reporting.drafting import OnSentence, draft_report
from reporting.phrases import phrases
from reporting.report_folder import write_report
from reporting.sentences import Language
from reporting.verifier.verify import Line, Verifier

# What a sentence stands on that names no lesion and corrects no drafted one.
READER = "reader"
_BRACKET = re.compile(r"\[([^\[\]]*)\]")


# Both are compared by identity: opening or drafting again is something new, whatever it holds.
@dataclass(frozen=True, eq=False)
class Reading:
    """An opened case: its exam, what the rules make of it, and the fields that nobody reads."""

    case: Case
    exam: Exam
    assessment: Assessment
    ignored: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Written:
    """The draft of an opened case as it was written, and one line that says who worded it and why."""

    reading: Reading
    draft: Draft
    why: str


def open_case(case: Case) -> Reading:
    """Read the exam of a case and stage it.

    Raises:
        InputError: The exam cannot be read or breaks the contract.
    """
    exam = read_exam(case.exam)
    return Reading(case, exam, assess(exam), tuple(unknown_fields(exam)))


def write_draft(reading: Reading, writer: WriterName, on_sentence: OnSentence | None = None) -> Written:
    """Draft the report.

    Raises:
        InputError: The writer asked for is not ready, or a lesion id cannot stand in a sentence.
    """
    backend = _backend(writer, reading.exam.language)
    draft = draft_report(
        reading.exam, reading.assessment, backend.writer, origin=backend.origin, on_sentence=on_sentence
    )
    return Written(reading, draft, backend.why)


@lru_cache(maxsize=2)
def _backend(writer: WriterName, language: Language) -> Backend:
    return choose_backend(writer, language)


def section_texts(draft: Draft) -> dict[str, str]:
    """Return the text of each section by name, one sentence a line."""
    return {
        section.name: "\n".join(_one_line(sentence.text) for sentence in section.sentences)
        for section in draft.sections
    }


def heading(draft: Draft, section: str) -> str:
    """Return the heading of a section in the language of the draft."""
    return phrases(draft.language).word("heading", section)


def review(written: Written, texts: Mapping[str, str]) -> Draft:
    """Return the draft with the reader's lines, verified anew and marked as reviewed.

    A line that stands in the drafted section keeps its sentence; every other line is the reader's own. A section
    that ``texts`` does not name stays as it is.

    Args:
        written: The draft as it was written.
        texts: The text of each section by name, one sentence a line; blank lines are left out.
    """
    reading, draft = written.reading, written.draft
    sections = [
        section if section.name not in texts else _edited(section, texts[section.name], reading.exam)
        for section in draft.sections
    ]
    sentences = [(section.name, sentence) for section in sections for sentence in section.sentences]
    lines = [Line(name, sentence.text, tuple(sentence.cites)) for name, sentence in sentences]
    origins = Counter(sentence.origin for _, sentence in sentences)
    return draft.model_copy(
        update={
            "sections": sections,
            "verification": Verifier(reading.exam, reading.assessment).verify(lines),
            "provenance": draft.provenance.model_copy(update={"sentences_by_origin": dict(origins)}),
            "state": "reviewed",
        }
    )


def keep(reading: Reading, reviewed: Draft) -> None:
    """Write the reviewed draft into the folder of the case; an older reading there is replaced."""
    write_report(reading.case.reading, reading.exam, reviewed)


def _edited(section: Section, text: str, exam: Exam) -> Section:
    lines = [line for line in map(_one_line, text.splitlines()) if line]
    left = {_one_line(sentence.text): sentence for sentence in section.sentences}
    kept = {line: left.pop(line) for line in dict.fromkeys(lines) if line in left}
    ids = {lesion.lesion_id for lesion in exam.lesions}
    sentences = [kept[line] if line in kept else _own(line, left, ids) for line in lines]
    return Section(name=section.name, sentences=sentences)


def _own(line: str, replaced: Mapping[str, Sentence], ids: set[str]) -> Sentence:
    """Make the reader's sentence; it stands on the lesions it names and on what the corrected sentence stood on."""
    named = [one.strip() for inside in _BRACKET.findall(line) for one in inside.split(",")]
    cites = [one for one in dict.fromkeys(named) if one in ids]
    for former in get_close_matches(line, replaced, n=1):
        cites += [cite for cite in replaced[former].cites if cite not in ids]
    return Sentence(text=line, template=line, cites=cites or [READER], origin="reader")


def _one_line(text: str) -> str:
    return " ".join(text.split())
