"""The report as Markdown."""

from __future__ import annotations

import re

from reporting.exporters.frame import Frame, frame_of, report_words
from reporting.exporters.report import Report

# What would become markup or HTML; a bracket is left, because only a bracket with a target behind it is a link.
_MARKUP = re.compile(r"([\\`*_|#])")


def write(report: Report) -> bytes:
    """Return the report as UTF-8 Markdown; see :func:`as_markdown`."""
    return as_markdown(report).encode("utf-8")


def as_markdown(report: Report) -> str:
    """Write a report as Markdown, marked as what it is, with the lesion table below the sections."""
    frame = frame_of(report)
    lines = [f"# {frame.title}", "", f"> {frame.mark}", ""]
    if frame.study:
        lines += [escaped(frame.study), ""]
    for part in frame.parts:
        lines += [f"## {part.heading}", "", *(f"- {escaped(text)}" for text in part.sentences), ""]
    words = report_words(report.draft.language)
    lines += [f"## {words['table']}", "", *_table(frame, str(words["no_lesion"])), "", "---", ""]
    return "\n".join([*lines, *map(escaped, frame.closing), ""])


def escaped(text: str) -> str:
    r"""Return a text that Markdown shows as it is, and that holds no HTML.

    Example:
        >>> escaped("<b>*SUVmax* 3|4")
        '&lt;b>\\*SUVmax\\* 3\\|4'
    """
    return _MARKUP.sub(r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;").replace("](", "]\\("))


def _table(frame: Frame, none: str) -> list[str]:
    head, *rows = frame.table
    if not rows:
        return [none]
    lines = [head, tuple("---" for _ in head), *(tuple(map(escaped, row)) for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]
