"""Passages of a text by their character offsets, its sentences and clauses, and masking that keeps offsets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_BOUNDARY = re.compile(r"[.!?](?=[\s'\")\]]|$)|[;\n]")
_LINE_END = re.compile(r"(?<=[\w,(.-])[ \t]*\n(?=[ \t]*[\w(])")
_GOES_ON = re.compile(r"[ \t]*(?:[a-zäöü(]|\d+(?:[.,]\d+)?\s*(?:mm|cm)|SUV)")
_UNFINISHED = re.compile(
    r"(?:[,(]|\b(?:ext|int|com|comm|max|re|li|of|in|the|with|and|to|at|on|a|an|left|right|und|mit|im|der|die|das|von|am|links|rechts"
    r"|SUVmax|SUV|external|internal|common|iliac|iliakal)\.?)[ \t]*$",
    re.IGNORECASE,
)
_VALUE = re.compile(r"\d\s*(?:mm|cm)\b|SUV\D{0,12}\d")
_HALF_LINE = 30
_FULL_LINE = 50  # a line this long was broken by its width, not by its author
_CLAUSE = re.compile(r",(?!\d)|\s(?:and|und|sowie|plus)\s", re.IGNORECASE)
_WORD_BEFORE = re.compile(r"[\w.]+$")
_ORDINAL = re.compile(r"(?<![\d.,/])\d{1,2}$")
_WORD_AFTER = re.compile(r"\s*(\w+)")


@dataclass(frozen=True)
class Passage:
    """``text[start:end]`` of some text, with what it is (``kind``)."""

    start: int
    end: int
    quote: str
    kind: str = ""

    def overlaps(self, other: Passage) -> bool:
        """Whether both share a character."""
        return self.start < other.end and other.start < self.end


def passage(text: str, start: int, end: int, kind: str = "") -> Passage:
    """Cut ``text[start:end]`` without the blanks around it.

    Example:
        >>> passage("a  b c ", 1, 7)
        Passage(start=3, end=6, quote='b c', kind='')
    """
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    quote = piece.strip()
    return Passage(start + left, start + left + len(quote), quote, kind)


@cache
def read_data(name: str) -> Any:
    """Read one JSON file of this package's ``data`` folder."""
    return json.loads(resources.files(__package__).joinpath("data", name).read_text("utf-8"))


@cache
def _grammar() -> tuple[frozenset[str], frozenset[str]]:
    content = read_data("sentences.json")
    return frozenset(content["abbreviations"]), frozenset(content["nouns_after_an_ordinal"])


def sentences(text: str) -> list[Passage]:
    """Split a text at line ends, semicolons and full stops, not after abbreviations, ordinals or inside numbers.

    Example:
        >>> [part.quote for part in sentences("LN left ext. iliac 9,5 mm. 6. Rippe re. frei")]
        ['LN left ext. iliac 9,5 mm.', '6. Rippe re. frei']
    """
    ends = [match.end() for match in _BOUNDARY.finditer(text) if _ends_sentence(text, match)]
    return _cut(text, [(end, end) for end in ends])


def unwrapped(text: str) -> str:
    r"""Join lines that were broken inside a sentence; every offset stays.

    Example:
        >>> unwrapped("node left ext.\niliac 9 mm.\nLiver normal")
        'node left ext. iliac 9 mm.\nLiver normal'
    """
    characters = list(text)
    for match in _LINE_END.finditer(text):
        line_start = text.rfind("\n", 0, match.start()) + 1
        length = match.start() - line_start
        is_long = length >= _FULL_LINE or (length >= _HALF_LINE and not _VALUE.search(text, line_start, match.start()))
        is_long = is_long and _GOES_ON.match(text, match.end()) is not None
        if is_long or _UNFINISHED.search(text, line_start, match.start()):
            characters[match.end() - 1] = " "
    return "".join(characters)


def clauses(text: str, within: Passage) -> list[Passage]:
    """Split one sentence at commas and at "and"; decimal commas stay whole."""
    breaks = [(match.start(), match.end()) for match in _CLAUSE.finditer(text, within.start, within.end)]
    return _cut(text, breaks, within.start, within.end)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the last match of a pattern."""
    return max(pattern.finditer(text), key=lambda match: match.start(), default=None)


def blank(text: str, spans: Iterable[Passage]) -> str:
    """Replace passages by blanks, so that every other offset stays as it was.

    Example:
        >>> blank("ab cd", [Passage(0, 2, "ab")])
        '   cd'
    """
    characters = list(text)
    for span in spans:
        for index in range(span.start, span.end):
            if characters[index] != "\n":
                characters[index] = " "
    return "".join(characters)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    if match.group() != ".":
        return True
    abbreviations, nouns = _grammar()
    head = text[max(0, match.start() - 12) : match.start()]
    before = _WORD_BEFORE.search(head)
    if before and before.group().lower() in abbreviations:
        return False
    after = _WORD_AFTER.match(text, match.end())
    is_ordinal = _ORDINAL.search(head) and after and after.group(1).lower() in nouns
    return not is_ordinal


def _cut(text: str, breaks: list[tuple[int, int]], start: int = 0, end: int | None = None) -> list[Passage]:
    parts: list[Passage] = []
    for left, right in [*breaks, (len(text) if end is None else end,) * 2]:
        part = passage(text, start, left)
        if part.quote:
            parts.append(part)
        start = right
    return parts
