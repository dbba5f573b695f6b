"""Reads SUVmax and sizes out of a text; decimal commas count as decimal points, dates are never values."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"(?<![\d.,])(\d{1,3}(?:[.,]\d{1,2})?)(?![.,]?\d)"
_SUV = r"SUV(?![\s_-]*(?:\(?mean|\(?peak|\(?avg|\(?mittel|bw\s*mean))"
_LINK = r"[a-zäöü()\s:=~≈<>_-]{0,24}?\.?\s*"
_FROM_TO = re.compile(rf"{_SUV}{_LINK}(?:from|von)\s+{_NUMBER}\s+(?:to|auf)\s+{_NUMBER}", re.IGNORECASE)
_AFTER_WORD = re.compile(rf"{_SUV}{_LINK}{_NUMBER}(?!\s*(?:mm|cm|ml|x\s*\d))", re.IGNORECASE)
_BEFORE_WORD = re.compile(rf"{_NUMBER}\s*(?:g/ml\s*)?\(?{_SUV}", re.IGNORECASE)
_SIZE = re.compile(
    rf"{_NUMBER}(?:\s*(?:mm|cm)?\s*[x×*]\s*{_NUMBER})?(?:\s*(?:mm|cm)?\s*[x×*]\s*{_NUMBER})?\s*(mm|cm)\b", re.IGNORECASE
)
_SHORT_AXIS_AFTER = re.compile(r"\s*(?:in\s+)?(?:short[ -]axis|SAD\b|kurz\w*achse\w*|KAD\b|kurzachs\w*)", re.IGNORECASE)
_SHORT_AXIS_BEFORE = re.compile(
    r"(?:short[ -]axis(?: diameter)?|SAD|kurz\w*achsen?\w*|KAD)\s*(?:of|von|ca\.?|:|=)?\s*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Measure:
    """A value at ``text[start:end]``; ``smallest`` is the smaller axis where two or three were given."""

    value: float
    start: int
    end: int
    smallest: float
    short_axis: bool = False


def number(token: str) -> float:
    """Read a number with a decimal point or a decimal comma.

    Example:
        >>> number("14,7")
        14.7
    """
    return float(token.replace(",", "."))


def find_suvmax(text: str) -> list[Measure]:
    """Find SUVmax values; a bare "SUV" counts as SUVmax, SUVmean and SUVpeak do not.

    Example:
        >>> [found.value for found in find_suvmax("PET 3.12.24: L4 SUVmax 14,7, leber SUVmean 4.1, rib 5.2 SUV")]
        [14.7, 5.2]
    """
    found: list[Measure] = []
    for match in _FROM_TO.finditer(text):
        found.append(_measure(match, 2))
    for pattern in (_AFTER_WORD, _BEFORE_WORD):
        for match in pattern.finditer(text):
            one = _measure(match, 1)
            if not any(one.start < other.end and other.start < one.end for other in found):
                found.append(one)
    return sorted(found, key=lambda one: one.start)


def find_sizes(text: str) -> list[Measure]:
    """Find sizes in mm; ``value`` is the largest axis given, ``smallest`` the smallest.

    Example:
        >>> [(found.value, found.smallest) for found in find_sizes("node 1,6 x 0.9 cm, focus 8 mm")]
        [(16.0, 9.0), (8.0, 8.0)]
    """
    return [_size(text, match) for match in _SIZE.finditer(text)]


def _size(text: str, match: re.Match[str]) -> Measure:
    scale = 10.0 if match.group(4).lower() == "cm" else 1.0
    axes = [round(number(token) * scale, 2) for token in match.groups()[:3] if token]
    named = _SHORT_AXIS_AFTER.match(text, match.end()) or _SHORT_AXIS_BEFORE.search(text[: match.start()])
    return Measure(max(axes), match.start(), match.end(), min(axes), short_axis=named is not None)


def _measure(match: re.Match[str], group: int) -> Measure:
    value = number(match.group(group))
    return Measure(value, match.start(), match.end(), value)
