"""Finds where a text speaks of: regions, vertebra and rib numbers, and sides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from fedpsma.domain.region import Region, Side
from fedpsma.text.passages import read_data

_VERTEBRA = re.compile(
    r"(?<![\w.,+/-])(?P<letter>Th|BWK|LWK|HWK|SWK|C|T|D|L|S)\s?-?(?P<number>\d{1,2})"
    r"(?:\s?[-/]\s?(?:Th|[CTDLS])?(?P<last>\d{1,2}))?(?![\w%]|[.,]\d|\s?mm|\s?cm|\s*N\d|\s*[-]?(?:weighted|gewichtet|w\b|hyper|hypo|signal))"
)
_NUMBERED_RIB = re.compile(
    r"(?P<a>\d{1,2})(?:st|nd|rd|th|\.)?\s*(?:(?:left|right|linke?n?|rechte?n?|li\.?|re\.?)\s+)?(?:ribs?|rippen?|costa)\b"
    r"|\b(?:ribs?|rippen?|costa)\s*(?:no\.?|nr\.?|#)?\s*(?P<b>\d{1,2})(?![\d.,]*\s*(?:mm|cm))(?![.,]\d)",
    re.IGNORECASE,
)
_SPINE: dict[str, tuple[Region, str, int]] = {
    "C": (Region.BONE_CSPINE, "C", 7),
    "HWK": (Region.BONE_CSPINE, "C", 7),
    "T": (Region.BONE_TSPINE, "T", 12),
    "TH": (Region.BONE_TSPINE, "T", 12),
    "D": (Region.BONE_TSPINE, "T", 12),
    "BWK": (Region.BONE_TSPINE, "T", 12),
    "L": (Region.BONE_LSPINE, "L", 5),
    "LWK": (Region.BONE_LSPINE, "L", 5),
    "S": (Region.BONE_SACRUM, "S", 5),
    "SWK": (Region.BONE_SACRUM, "S", 5),
}
_MOST_RIBS = 12
_CAPITAL_SIDE = re.compile(r"(?<![\w.])(?P<side>[LR])(?![\w.])(?!\s?\d)")


@dataclass(frozen=True)
class Mention:
    """A place named at ``text[start:end]``.

    ``regions`` holds one region, or all those that a vague name ("iliac node") can mean; ``group`` marks a heading or a
    whole class of places ("LN", "skeleton"). ``levels`` are vertebrae ("L4") or rib numbers ("6").
    """

    regions: tuple[Region, ...]
    start: int
    end: int
    group: bool = False
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Name:
    regions: tuple[Region, ...]
    pattern: re.Pattern[str]
    group: bool
    needs: re.Pattern[str] | None
    unless: re.Pattern[str] | None


def find_mentions(text: str) -> list[Mention]:
    """Find the places a text names, in the order of the text; the longest name wins where names overlap.

    Example:
        >>> [(found.regions[0].value, found.levels) for found in find_mentions("L4 corpus; sclerosis left ext. iliac")]
        [('BONE_LSPINE', ('L4',)), ('LN_EXTERNAL_ILIAC', ())]
    """
    return list(_mentions(text))


@lru_cache(maxsize=4096)
def _mentions(text: str) -> tuple[Mention, ...]:
    candidates = [*_numbered(text), *_named(text)]
    candidates.sort(key=lambda one: (not one.levels, one.group, len(one.regions), -(one.end - one.start), one.start))
    chosen: list[Mention] = []
    taken = bytearray(len(text))
    for one in candidates:
        if not any(taken[one.start : one.end]):
            taken[one.start : one.end] = b"\1" * (one.end - one.start)
            chosen.append(one)
    return tuple(sorted(chosen, key=lambda one: one.start))


def find_levels(text: str) -> frozenset[str]:
    """Return the vertebrae and rib numbers a text names.

    Example:
        >>> sorted(find_levels("right 6th rib, next to BWK 10"))
        ['6', 'T10']
    """
    return frozenset(level for one in _numbered(text) for level in one.levels)


def find_sides(text: str) -> list[tuple[int, Side]]:
    """Find words for left, right and both sides with their offsets, English and German.

    Example:
        >>> find_sides("LK iliakal li., 6. Rippe rechts, R EIA")
        [(11, 'L'), (25, 'R'), (33, 'R')]
    """
    found = [(match.start(), side) for side, pattern in _side_patterns() for match in pattern.finditer(text)]
    for match in _CAPITAL_SIDE.finditer(text):
        found.append((match.start(), "L" if match["side"] == "L" else "R"))
    return sorted(found)


def _numbered(text: str) -> Iterator[Mention]:
    for match in _VERTEBRA.finditer(text):
        region, letter, most = _SPINE[match["letter"].upper()]
        first = int(match["number"])
        last = int(match["last"] or first)
        if 1 <= first <= most:
            last = last if first < last <= most else first
            levels = tuple(f"{letter}{one}" for one in range(first, last + 1))
            yield Mention((region,), match.start(), match.end(), levels=levels)
    for match in _NUMBERED_RIB.finditer(text):
        rib = int(match["a"] or match["b"])
        if 1 <= rib <= _MOST_RIBS:
            yield Mention((Region.BONE_RIB,), match.start(), match.end(), levels=(str(rib),))


def _named(text: str) -> Iterator[Mention]:
    for name in _names():
        if name.needs and not name.needs.search(text):
            continue
        if name.unless and name.unless.search(text):
            continue
        for match in name.pattern.finditer(text):
            yield Mention(name.regions, match.start(), match.end(), name.group)


@cache
def _names() -> tuple[_Name, ...]:
    content = read_data("regions.json")
    sites = [
        _Name(
            tuple(Region(one) for one in row["regions"]),
            _any_of(row["patterns"]),
            False,
            _any_of(row["needs"], whole=False) if "needs" in row else None,
            _any_of(row["unless"], whole=False) if "unless" in row else None,
        )
        for row in content["sites"]
    ]
    groups = [
        _Name(_with_prefix(row["prefixes"]), _any_of(row["patterns"]), True, None, None) for row in content["groups"]
    ]
    return (*sites, *groups)


def _with_prefix(prefixes: list[str]) -> tuple[Region, ...]:
    return tuple(region for region in Region if region.value.startswith(tuple(prefixes)))


@cache
def _side_patterns() -> tuple[tuple[Side, re.Pattern[str]], ...]:
    return tuple((row["side"], _any_of(row["patterns"])) for row in read_data("regions.json")["sides"])


def _any_of(patterns: list[str], *, whole: bool = True) -> re.Pattern[str]:
    joined = "|".join(patterns)
    return re.compile(rf"(?<!\w)(?:{joined})(?!\w)" if whole else f"(?:{joined})", re.IGNORECASE)
