"""The lesion table as CSV (RFC 4180): a row a lesion, a point as decimal mark, an empty field for what is not known."""

from __future__ import annotations

import csv
import io

from reporting.exporters.frame import printable, state_words
from reporting.exporters.report import Report
from reporting.exporters.table import MEASURED, Row, table_rows
from reporting.phrases import phrases

COLUMNS = (
    "number",
    "lesion_id",
    "region",
    "side",
    "label",
    *MEASURED,
    "model_prob",
    "psma_rads",
    "expression",
    "change",
    "ct_correlate",
    "report_state",
    "note",
)
# A spreadsheet takes a cell that begins so for a formula and runs it.
_FORMULA = ("=", "+", "-", "@", "\t")


def write(report: Report) -> bytes:
    """Return the table as UTF-8; state and mark stand in every row, and in a row of their own where no lesion is."""
    told = (state_words(report), phrases(report.draft.language).word("document", "mark"))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    rows = [_fields(row) for row in table_rows(report)] or [[""] * (len(COLUMNS) - len(told))]
    writer.writerows([*fields, *told] for fields in rows)
    return stream.getvalue().encode("utf-8")


def _fields(row: Row) -> list[str]:
    lesion = row.lesion
    return [
        str(row.number),
        _words(lesion.lesion_id),
        lesion.region.value,
        lesion.side or "",
        _words(lesion.label),
        *(_number(row.measured(name)) for name in MEASURED),
        _number(lesion.model_prob),
        row.psma_rads or "",
        _number(row.expression),
        row.change or "",
        _words(lesion.ct_correlate),
    ]


def _number(value: float | None) -> str:
    """Write a number with all its digits, so that it reads back equal."""
    return "" if value is None else repr(value)


def _words(text: str | None) -> str:
    """Write free text so that no spreadsheet runs it: an apostrophe goes before what looks like a formula."""
    shown = printable(text or "")
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
