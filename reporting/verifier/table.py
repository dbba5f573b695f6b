"""The lesion table at the end of a report: every cell against the lesion of its row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fedpsma.domain.exam import Lesion
from reporting.verifier.claims import CLAIMS
from reporting.verifier.document import TABLE_SECTION, Line
from reporting.verifier.places import region_problems, side_problems
from reporting.verifier.problems import NOT_UNDERSTOOD, Problem
from reporting.verifier.reading import Segment
from reporting.verifier.view import View

_RULE = re.compile(r"[\s|:-]+")
_GAP = re.compile(r"\s{2,}")
_MEASURED = ("suvmax", "suvmean", "suvpeak", "volume_ml", "size_mm")


@dataclass(frozen=True)
class _Column:
    """A column by what it holds, null where its heading is not understood, and where it stands in a text line."""

    holds: str | None
    start: int
    end: int | None


def table_problems(lines: Sequence[Line], view: View) -> Iterator[Problem]:
    """Yield what is wrong in the rows of the lesion table; the first line of its section is the heading."""
    columns: list[_Column] = []
    for line in lines:
        if line.section != TABLE_SECTION or _RULE.fullmatch(line.text):
            continue
        if not columns:
            columns = _columns(line.text, view)
            unknown = any(column.holds is None for column in columns)
            if unknown or not any(column.holds == "lesion_id" for column in columns):
                yield Problem(NOT_UNDERSTOOD, line.text, "not understood: the heading of the table", line.number)
                return
        else:
            yield from _row(line, columns, view)


def _columns(heading: str, view: View) -> list[_Column]:
    words = view.lexicon.words("columns", "holds", "pattern")
    spans = _bars(heading) if "|" in heading else _texts(heading)
    return [
        _Column(
            next((one.meaning for one in words if one.pattern.fullmatch(heading[start:end].strip())), None), start, end
        )
        for start, end in spans
    ]


def _bars(text: str) -> list[tuple[int, int | None]]:
    bars = [match.start() for match in re.finditer(r"\|", text)]
    return [(left + 1, right) for left, right in pairwise(bars)]


def _texts(heading: str) -> list[tuple[int, int | None]]:
    """Where the columns of a table without bars begin and end; a column reaches to where the next one begins."""
    starts = [0, *(match.end() for match in _GAP.finditer(heading.rstrip()))]
    return list(zip(starts, [*starts[1:], None], strict=True))


def _row(line: Line, columns: list[_Column], view: View) -> Iterator[Problem]:
    spans = _bars(line.text) if "|" in line.text else [(column.start, column.end) for column in columns]
    if len(spans) != len(columns):
        yield Problem(
            NOT_UNDERSTOOD, line.text, "not understood: a row with other columns than its heading", line.number
        )
        return
    cells = {column.holds: line.text[start:end].strip() for column, (start, end) in zip(columns, spans, strict=True)}
    lesion = view.lesions.get(cells["lesion_id"])
    if lesion is None:
        yield Problem("lesion_ids", cells["lesion_id"], "is not in the lesion table", line.number)
        return
    for holds, said in cells.items():
        if holds != "lesion_id" and said.strip("-–"):
            for problem in _cell(str(holds), said, lesion, view):
                yield Problem(problem.check, problem.said, problem.table, line.number)


def _cell(holds: str, said: str, lesion: Lesion, view: View) -> Iterator[Problem]:
    segment = Segment(said, (lesion.lesion_id,))
    if holds == "site":
        yield from side_problems(said, segment, [lesion], view, complete=True)
        yield from region_problems(said, segment, [lesion], view)
    elif holds == "change":
        meant = next((word.meaning for word in view.lexicon.claims if word.pattern.search(said)), None)
        if meant is None or not CLAIMS[meant](view, [lesion]):
            yield Problem("statements", said, f"the rules say {view.verdicts([lesion])}")
    else:
        known = _value(holds, lesion, view)
        if said.replace(",", ".").lower() not in known:
            yield Problem("numbers", said, f"the {holds} of {lesion.lesion_id} is {' or '.join(known) or 'not known'}")


def _value(holds: str, lesion: Lesion, view: View) -> list[str]:
    if holds in _MEASURED:
        value = getattr(lesion, holds)
        return [] if value is None else list(dict.fromkeys((f"{value:g}", str(value))))
    if holds == "label":
        words = view.lexicon.words("labels", "word", "label")
        return [word.meaning for word in words if lesion.label and word.pattern.fullmatch(lesion.label)]
    held = {"psma_rads": view.rads(lesion), "expression": view.assessment.expression.get(lesion.lesion_id)}[holds]
    return [] if held is None else [str(held).lower()]
