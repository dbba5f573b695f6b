"""The lesion table that every export carries: one row a lesion, the exam's own numbers, never rounded again."""

from __future__ import annotations

from dataclasses import dataclass

from fedpsma.domain.exam import Lesion
from reporting.data_files import read_data
from reporting.exporters.report import Report
from reporting.phrases import phrases
from reporting.plan.case import side_is_said
from reporting.render import number
from reporting.sentences import Language

MEASURED = ("suvmax", "suvmean", "suvpeak", "volume_ml", "size_mm")
"""The measurements of a lesion, as the exam names them: SUV in g/ml, volume in ml, size in mm."""


@dataclass(frozen=True)
class Row:
    """A lesion with what the rules made of it; ``None`` is not known.

    ``number`` is the lesion's place in the table and in the lesion mask, from 1 on.
    """

    number: int
    lesion: Lesion
    psma_rads: str | None
    expression: int | None
    change: str | None

    def measured(self, name: str) -> float | None:
        """Return one of :data:`MEASURED`."""
        value: float | None = getattr(self.lesion, name)
        return value


def table_rows(report: Report) -> tuple[Row, ...]:
    """Return the rows of the table, in the order of the exam."""
    found = report.assessment
    return tuple(
        Row(
            number=place,
            lesion=lesion,
            psma_rads=found.psma_rads.get(lesion.lesion_id),
            expression=found.expression.get(lesion.lesion_id),
            change=found.prior_change.get(lesion.lesion_id),
        )
        for place, lesion in enumerate(report.exam.lesions, start=1)
    )


def table_cells(report: Report) -> list[tuple[str, ...]]:
    """Return the table as a reader sees it, heading row first.

    An empty cell is not known; a column that is empty for every lesion is left out.
    """
    language = report.draft.language
    words = read_data("report_words.json")[language]
    head = tuple(words["columns"].values())
    rows = [_cells(row, words, language) for row in table_rows(report)]
    used = [place for place in range(len(head)) if any(row[place] for row in rows)]
    return [tuple(row[place] for place in used) for row in (head, *rows)]


def site_of(lesion: Lesion, language: Language) -> str:
    """Name region and side of a lesion, as the sentences of the report do.

    Example:
        >>> site_of(Lesion(lesion_id="L1", region="LN_OBTURATOR", side="L"), "en")
        'left obturator node'
    """
    words = phrases(language)
    name = words.word("site_one", lesion.region.value)
    if not side_is_said(lesion):
        return name
    side = str(lesion.side)
    return f"{words.word('side_before', side)}{name}{words.word('side_after', side)}"


def _cells(row: Row, words: dict[str, dict[str, str]], language: Language) -> tuple[str, ...]:
    lesion = row.lesion
    label = lesion.label or ""
    measurements = [
        number(row.measured(name), language, decimals=0 if name == "size_mm" else 1) or "" for name in MEASURED
    ]
    return (
        lesion.lesion_id,
        site_of(lesion, language),
        words["label"].get(label, label),
        *measurements,
        row.psma_rads or "",
        "" if row.expression is None else str(row.expression),
        words["change"][row.change] if row.change else "",
    )
