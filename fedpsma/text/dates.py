"""Finds calendar dates in a text, as English and German reports write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache

from fedpsma.text.passages import read_data

_CENTURY_TURN = 70  # a year of two digits up to here is 20xx
_ISO = re.compile(r"(?<![\d.-])(?P<y>(?:19|20)\d{2})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?![\d-])")
_DOTTED = re.compile(r"(?<![\d.,])(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>(?:19|20)\d{2}|\d{2})(?![\d])")
_SLASHED = re.compile(r"(?<![\d/.,])(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<y>(?:19|20)\d{2}|\d{2})(?![\d/])")


@dataclass(frozen=True)
class FoundDate:
    """A date at ``text[start:end]``; ``days`` holds every day it can mean (03/04/2024 is two)."""

    days: tuple[date, ...]
    start: int
    end: int
    quote: str

    @property
    def day(self) -> date | None:
        """The day, null where the way it is written leaves two."""
        return self.days[0] if len(self.days) == 1 else None

    def may_be(self, other: FoundDate) -> bool:
        """Whether both can mean the same day."""
        return bool(set(self.days) & set(other.days))


def find_dates(text: str) -> tuple[FoundDate, ...]:
    """Find dates, in the order of the text; what is no day of the calendar is none.

    Example:
        >>> [str(found.day) for found in find_dates("PET 3.12.24, CT of 5 March 2024, MRT vom 2024-02-30")]
        ['2024-12-03', '2024-03-05']
    """
    found = [one for one in _candidates(text) if one.days]
    return tuple(sorted(found, key=lambda one: one.start))


def _candidates(text: str) -> Iterator[FoundDate]:
    for pattern in (_ISO, _DOTTED, *_with_month_names()):
        for match in pattern.finditer(text):
            yield _found(match, [(match["y"], _month(match["m"]), int(match["d"]))])
    for match in _SLASHED.finditer(text):
        first, second = int(match["a"]), int(match["b"])
        yield _found(match, [(match["y"], second, first), (match["y"], first, second)])


def _found(match: re.Match[str], readings: list[tuple[str, int, int]]) -> FoundDate:
    days = dict.fromkeys(day for reading in readings if (day := _day(*reading)) is not None)
    return FoundDate(tuple(days), match.start(), match.end(), match[0])


def _day(year: str, month: int, day: int) -> date | None:
    full = int(year) if len(year) > 2 else int(year) + (2000 if int(year) <= _CENTURY_TURN else 1900)
    try:
        return date(full, month, day)
    except ValueError:
        return None


def _month(name: str) -> int:
    return int(name) if name.isdigit() else _months()[name.lower()[:3]]


@cache
def _months() -> dict[str, int]:
    months: dict[str, int] = read_data("dates.json")["months"]
    return months


@cache
def _with_month_names() -> tuple[re.Pattern[str], ...]:
    name = rf"(?P<m>(?:{'|'.join(_months())})[a-zä]{{0,6}})"
    return (
        re.compile(
            rf"(?<![\d.,])(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?\s+{name}\.?,?\s+(?P<y>(?:19|20)\d{{2}})", re.IGNORECASE
        ),
        re.compile(rf"\b{name}\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<y>(?:19|20)\d{{2}})", re.IGNORECASE),
    )
