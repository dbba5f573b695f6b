"""Finds tables of lesions in a text and says what their bare numbers are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BORDER = re.compile(r"[ \t]*[|\t;][ \t]*|[ ]{2,}")
_PLACE = re.compile(
    r"site|location|locali[sz]ation|region|lesion|\bort\b|lokalisation|lage|läsion|herd|focus", re.IGNORECASE
)
_SUVMAX = re.compile(r"SUV(?![\s_-]*\(?(?:mean|peak|avg|mittel))", re.IGNORECASE)
_OTHER_SUV = re.compile(r"SUV", re.IGNORECASE)
_SIZE = re.compile(r"size|diameter|axis|größe|groesse|durchmesser|achse|\bmm\b|\bcm\b", re.IGNORECASE)
_NUMBER = re.compile(r"[\dOolI|S]{1,3}(?:[.,][\dOolI|S]{1,2})?(?:\s*[x×]\s*\d{1,3}(?:[.,]\d)?)?")
_RULE = re.compile(r"^[\s|+:=-]+$")


@dataclass(frozen=True)
class _Cell:
    start: int
    end: int
    text: str


def table_edits(text: str) -> Iterator[tuple[int, int, str]]:
    r"""Yield ``(start, end, replacement)`` by which the rows of tables become sentences; headings are blanked.

    Example:
        >>> list(table_edits("Site | SUVmax\nL4 | 14.7\n"))
        [(0, 13, '             '), (17, 18, ' '), (19, 19, 'SUVmax ')]
    """
    kinds: list[tuple[str, str]] | None = None
    offset = 0
    for line in text.splitlines(keepends=True):
        body = line.rstrip("\r\n")
        cells = _cells(body, offset)
        if _is_heading(cells):
            kinds = [_kind(cell.text) for cell in cells]
            yield offset, offset + len(body), " " * len(body)
        elif kinds and _RULE.match(body) and body.strip():
            yield offset, offset + len(body), " " * len(body)
        elif kinds and len(cells) >= 2:
            yield from _row(cells, kinds, body, offset)
        else:
            kinds = None
        offset += len(line)


def _cells(line: str, offset: int) -> list[_Cell]:
    cells, at = [], 0
    for match in [*_BORDER.finditer(line), None]:
        end = match.start() if match else len(line)
        cells.append(_Cell(offset + at, offset + end, line[at:end]))
        at = match.end() if match else end
    while cells and not cells[0].text.strip():
        cells.pop(0)
    while cells and not cells[-1].text.strip():
        cells.pop()
    return cells


def _is_heading(cells: list[_Cell]) -> bool:
    words = [cell.text for cell in cells]
    has_values = any(re.search(r"\d", word) for word in words)
    return len(cells) >= 2 and not has_values and any(map(_PLACE.search, words)) and any(map(_OTHER_SUV.search, words))


def _kind(heading: str) -> tuple[str, str]:
    """Return what stands before and behind a bare number of a column."""
    if _SUVMAX.search(heading):
        return "SUVmax ", ""
    if _OTHER_SUV.search(heading):
        return "SUVmean ", ""
    if _SIZE.search(heading):
        return "", " cm" if re.search(r"\bcm\b", heading) else " mm"
    return "", ""


def _row(cells: list[_Cell], kinds: list[tuple[str, str]], line: str, offset: int) -> Iterator[tuple[int, int, str]]:
    for match in re.finditer(r"[|;]", line):
        yield offset + match.start(), offset + match.end(), " "
    for cell, (before, behind) in zip(cells, kinds, strict=False):
        if (before or behind) and _NUMBER.fullmatch(cell.text.strip()):
            if before:
                yield cell.start, cell.start, before
            if behind:
                yield cell.end, cell.end, behind
