"""The report as plain text."""

from __future__ import annotations

from reporting.exporters.frame import Frame, frame_of, report_words
from reporting.exporters.report import Report


def write(report: Report) -> bytes:
    """Return the report as UTF-8 text; see :func:`as_text`."""
    return as_text(report).encode("utf-8")


def as_text(report: Report) -> str:
    """Write a report as plain text, marked as what it is, with the lesion table below the sections."""
    frame = frame_of(report)
    lines = [frame.title.upper(), frame.mark, *filter(None, [frame.study]), ""]
    for part in frame.parts:
        lines += [part.heading.upper(), *part.sentences, ""]
    words = report_words(report.draft.language)
    lines += [str(words["table"]).upper(), *_table(frame, str(words["no_lesion"])), ""]
    return "\n".join([*lines, *frame.closing, ""])


def _table(frame: Frame, none: str) -> list[str]:
    if len(frame.table) == 1:
        return [none]
    widths = [max(map(len, column)) for column in zip(*frame.table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in frame.table
    ]
