"""A draft as text, and a report folder that appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

from fedpsma.domain.exam import Exam
from fedpsma.io.exam_file import write_record
from fedpsma.io.files import finished_folder, write_text
from reporting.draft import Draft
from reporting.phrases import phrases

DRAFT_FILE = "draft.json"
MARKDOWN_FILE = "report.md"
TEXT_FILE = "report.txt"
ASSESSMENT_FILE = "assessment.json"
EXAM_FILE = "exam.json"


def as_markdown(draft: Draft) -> str:
    """Write a draft as Markdown, marked as what it is."""
    words = phrases(draft.language)
    lines = [f"# {words.word('document', 'title')}: {_state(draft)}", "", f"> {words.word('document', 'mark')}", ""]
    for section in draft.sections:
        lines += [f"## {words.word('heading', section.name)}", ""]
        lines += [f"- {_escaped(sentence.text)}" for sentence in section.sentences]
        lines.append("")
    lines += ["---", "", _footer(draft), ""]
    return "\n".join(lines)


def as_text(draft: Draft) -> str:
    """Write a draft as plain text, marked as what it is."""
    words = phrases(draft.language)
    lines = [f"{words.word('document', 'title').upper()} - {_state(draft)}", words.word("document", "mark"), ""]
    for section in draft.sections:
        lines.append(words.word("heading", section.name).upper())
        lines += [sentence.text for sentence in section.sentences]
        lines.append("")
    lines += [_footer(draft), ""]
    return "\n".join(lines)


def write_report(folder: Path, exam: Exam, draft: Draft) -> None:
    """Write draft, report, assessment and exam into a folder; an older one is replaced only when all is written."""
    with finished_folder(folder) as unfinished:
        write_record(unfinished / EXAM_FILE, exam)
        write_record(unfinished / ASSESSMENT_FILE, draft.assessment)
        write_record(unfinished / DRAFT_FILE, draft)
        write_text(unfinished / MARKDOWN_FILE, as_markdown(draft))
        write_text(unfinished / TEXT_FILE, as_text(draft))


def _state(draft: Draft) -> str:
    words = phrases(draft.language)
    return words.word("document", "draft") if draft.state in ("draft", "reviewed") else draft.state


def _footer(draft: Draft) -> str:
    words = phrases(draft.language)
    failed = [check for check in draft.verification.checks if not check.passed]
    verdict = words.word("document", "failed" if failed else "passed")
    names = f" ({', '.join(check.name for check in failed)})" if failed else ""
    source = draft.provenance
    return (
        f"{words.word('document', 'checks')}: {verdict}{names}. "
        f"{words.word('document', 'writer')}: {source.writer}. fedpsma {source.rules_version}."
    )


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")
