"""A copy of a text in which broken lines, tables and misspelt words can be read; every character knows its origin.

Nothing is repaired silently: what was read as something else is listed, and quotes always come from the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fedpsma.text.passages import Passage, unwrapped
from fedpsma.text.spelling import corrected
from fedpsma.text.tables import table_edits

_HYPHENATED = re.compile(r"(?<=[a-zäöüß])-[ \t]*\n[ \t]*(?=[a-zäöüß])")
_BROKEN_SUV = re.compile(r"(?<![A-Za-z0-9])[S5$]\s?U\s?V\s?[-_ ]?\s?(?:m|rn|nn)\s?[a@]\s?[x×](?![a-z])", re.IGNORECASE)
_BROKEN_NUMBER = re.compile(
    r"(?<![\w.,])(?=[\dOolI|S.,]*\d)(?=[\d.,]*[OolI|S])[\dOolI|S]{1,3}[.,][\dOolI|S]{1,2}(?![\w.,]\w)(?!\w)"
)
_BROKEN_SIZE = re.compile(r"(?<![\w.,])(?=[\dlI|O]*\d)(?=\d*[lI|O])[\dlI|O]{2,3}(?=\s?(?:mm|cm)\b)")
_SPACED_NUMBER = re.compile(
    r"(?<=[\w)] )(?:\d{1,2}\s?[.,]\s\d(?=\s*(?:mm|cm|\)|,|;|\.(?:\s|$)|$))|\d{1,2}\s[.,]\d(?!\d))"
)
_WORD = re.compile(r"[^\W_]*[^\W\d_][^\W_]*(?:-[^\W\d_]+)*")
_AS_DIGITS = str.maketrans("OolI|S", "001115")


@dataclass(frozen=True)
class Edit:
    """``text[start:end]`` reads as ``text``; ``silent`` where only the layout changes, not what is read."""

    start: int
    end: int
    text: str
    silent: bool = False


@dataclass(frozen=True)
class Repaired:
    """The readable copy; ``repairs`` are the passages of the original that read as something else (``kind``)."""

    text: str
    repairs: tuple[Passage, ...]
    lefts: tuple[int, ...]
    rights: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where ``text[start:end]`` of the copy stands in the original."""
        return (self.lefts[start], self.rights[end - 1]) if start < end else (self.lefts[start], self.lefts[start])


def repaired(text: str) -> Repaired:
    r"""Make a text readable.

    Example:
        >>> copy = repaired("LK ili-\nakal extem li, SUVrnax l4,7")
        >>> copy.text
        'LK iliakal extem li, SUVmax 14,7'
        >>> [(one.quote, one.kind) for one in copy.repairs]
        [('SUVrnax', 'SUVmax'), ('l4,7', '14,7')]
    """
    edits = _without_overlaps([*_layout(text), *_values(text), *_spelling(text)])
    pieces, lefts, rights, at = [], [], [], 0
    for edit in [*edits, Edit(len(text), len(text), "")]:
        pieces += [text[at : edit.start], edit.text]
        lefts += [*range(at, edit.start), *[edit.start] * len(edit.text)]
        rights += [*range(at + 1, edit.start + 1), *[edit.end] * len(edit.text)]
        at = edit.end
    copy = unwrapped("".join(pieces))
    told = tuple(Passage(one.start, one.end, text[one.start : one.end], one.text) for one in edits if not one.silent)
    return Repaired(copy, told, (*lefts, len(text)), (*rights, len(text)))


def _layout(text: str) -> Iterator[Edit]:
    for match in _HYPHENATED.finditer(text):
        yield Edit(match.start(), match.end(), "", silent=True)
    for start, end, label in table_edits(text):
        yield Edit(start, end, label, silent=True)


def _values(text: str) -> Iterator[Edit]:
    for match in _BROKEN_SUV.finditer(text):
        if match[0].replace(" ", "").lower() != "suvmax":
            yield Edit(match.start(), match.end(), "SUVmax")
    for match in (*_BROKEN_NUMBER.finditer(text), *_BROKEN_SIZE.finditer(text)):
        yield Edit(match.start(), match.end(), match[0].translate(_AS_DIGITS))
    for match in _SPACED_NUMBER.finditer(text):
        yield Edit(match.start(), match.end(), re.sub(r"\s", "", match[0]))


def _spelling(text: str) -> Iterator[Edit]:
    for match in _WORD.finditer(text):
        word = corrected(match[0])
        if word is not None:
            yield Edit(match.start(), match.end(), word)


def _without_overlaps(edits: list[Edit]) -> list[Edit]:
    kept: list[Edit] = []
    for one in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if not kept or one.start >= kept[-1].end:
            kept.append(one)
    return kept
