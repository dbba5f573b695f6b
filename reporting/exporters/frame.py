"""What every readable report carries round its sentences: title, marks, table, signature, checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reporting.data_files import read_data
from reporting.exporters.report import Report
from reporting.exporters.table import table_cells
from reporting.phrases import phrases
from reporting.sentences import Language


@dataclass(frozen=True)
class Part:
    """A section as it is shown: its heading and its sentences."""

    heading: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """A report as text, ready to be laid out; every text is free of control characters.

    Attributes:
        title: What the document is and its state: "PET/CT report: DRAFT".
        state: The state in words; "DRAFT" for whatever nobody signed.
        mark: That this is research and that no clinician has reviewed the rules.
        study: Pseudonym and date of the study where they are known, else empty.
        parts: The sections.
        table: Rows of the lesion table, its heading row first.
        closing: Signature where there is one, verdict of the checks, writer and versions.
    """

    title: str
    state: str
    mark: str
    study: str
    parts: tuple[Part, ...]
    table: tuple[tuple[str, ...], ...]
    closing: tuple[str, ...]


def frame_of(report: Report) -> Frame:
    """Put a report into words, in the language of its draft."""
    language = report.draft.language
    words = phrases(language)
    parts = [
        Part(words.word("heading", section.name), tuple(printable(one.text) for one in section.sentences))
        for section in report.draft.sections
    ]
    state = state_words(report)
    return Frame(
        title=f"{words.word('document', 'title')}: {state}",
        state=state,
        mark=words.word("document", "mark"),
        study=_study(report),
        parts=tuple(parts),
        table=tuple(tuple(map(printable, row)) for row in table_cells(report)),
        closing=_closing(report),
    )


def report_words(language: Language) -> dict[str, Any]:
    """Return the words of exports in a language, from ``data/report_words.json``."""
    words: dict[str, Any] = read_data("report_words.json")[language]
    return words


def state_words(report: Report) -> str:
    """Return the state in words; what nobody signed is a draft."""
    language = report.draft.language
    if not report.signed:
        return phrases(language).word("document", "draft")
    return str(report_words(language)[report.state])


def printable(text: str) -> str:
    r"""Return a text with a question mark for each character that no document can show.

    Example:
        >>> printable("node\x00 of\nthe groin")
        'node? of the groin'
    """
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(text.split()))


def _study(report: Report) -> str:
    if report.images is None:
        return ""
    words, study = report_words(report.draft.language), report.images.study
    told = [
        str(words["synthetic"]) if report.images.synthetic else "",
        f"{words['study']}: {study.study_id}",
        f"{words['date']}: {study.date}" if study.date else "",
    ]
    return printable("; ".join(filter(None, told)))


def _closing(report: Report) -> tuple[str, ...]:
    words = phrases(report.draft.language)
    failed = [check for check in report.draft.verification.checks if not check.passed]
    verdict = words.word("document", "failed" if failed else "passed")
    names = f" ({', '.join(check.name for check in failed)})" if failed else ""
    source = report.draft.provenance
    checks = (
        f"{words.word('document', 'checks')}: {verdict}{names}. "
        f"{words.word('document', 'writer')}: {source.writer}. fedpsma {source.rules_version}."
    )
    return (*_signature(report), printable(checks))


def _signature(report: Report) -> tuple[str, ...]:
    if report.sign_off is None:
        return ()
    signed = report.sign_off
    text = str(report_words(report.draft.language)["signature"])
    when = signed.when.isoformat(timespec="seconds")
    return (printable(text.format(who=signed.who, when=when, sha256=signed.sha256)),)
