"""What a prior report says of itself: date, modality and the stage it states."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fedpsma.text.dates import FoundDate, find_dates
from fedpsma.text.passages import Passage, passage, read_data

_PATTERN = r"(?:\s?\((?:uni|oligo|diss|dmi)\))?"
_N = r"(?:mi|p|c)?N[0-3x][a-c]?\b"
_M = rf"(?:mi|p|c)?M[01x][a-c]?\b{_PATTERN}(?:[ ,;/+]*M1[a-c]\b{_PATTERN})*"
_STAGE = re.compile(
    rf"(?<![\w-])(?:(?:mi|p|c|yp|r)?T(?:[0-4x][a-cmu]?|r)\b[ ,;/]*(?:{_N})?[ ,;/]*"
    rf"(?:\([^)\n]{{1,20}}\)[ ,;/]*)?(?:{_M})?"
    rf"|{_N}|{_M})",
    re.IGNORECASE,
)
_OF_BIRTH = re.compile(r"(?:\bdob|\bborn|\bgeb|birth|geburt|\*)[^\n]{0,15}$", re.IGNORECASE)
_REACH = 40


@dataclass(frozen=True)
class PriorHeader:
    """Date, modality and stages of a prior report with their passages.

    ``date`` is the day of the examination, null where the text gives none or several that could be it; ``dates`` are
    all that were found. ``stages`` are the codes as the text has them; nothing is derived from findings.
    """

    date: str | None
    dates: tuple[Passage, ...]
    modality: str | None
    stages: tuple[Passage, ...]


def read_header(text: str) -> PriorHeader:
    """Read date, modality and stated stages.

    Example:
        >>> header = read_header("PSMA-PET/CT vom 3.12.24. Beurteilung: miT0 N0 M1b (oligo).")
        >>> header.date, header.modality, [one.quote for one in header.stages]
        ('2024-12-03', 'PSMA PET/CT', ['miT0 N0 M1b (oligo)'])
    """
    found = [one for one in find_dates(text) if not _OF_BIRTH.search(text[max(0, one.start - 30) : one.start])]
    return PriorHeader(
        date=_own_date(text, found),
        dates=tuple(passage(text, one.start, one.end) for one in found),
        modality=_modality(text),
        stages=tuple(
            passage(text, match.start(), match.end()) for match in _STAGE.finditer(text) if _is_stage(match[0])
        ),
    )


def _own_date(text: str, found: list[FoundDate]) -> str | None:
    named = [one for one in found if _examination().search(text[max(0, one.start - _REACH) : one.start])]
    compared = [one for one in found if _compared().search(text[max(0, one.start - _REACH) : one.start])]
    own = [one for one in named if one not in compared] or [one for one in found if one not in compared]
    days = {one.day for one in own}
    day = days.pop() if len(days) == 1 else None
    return day.isoformat() if day else None


def _modality(text: str) -> str | None:
    rows = read_data("prior_words.json")["modalities"]
    return next((str(row["modality"]) for row in rows if re.search(row["pattern"], text, re.IGNORECASE)), None)


def _is_stage(code: str) -> bool:
    """Whether a code is a stage and not a vertebra: a bare "T4" is none."""
    return not re.fullmatch(r"T\d[a-c]?", code.strip()) or len(code.split()) > 1


def _examination() -> re.Pattern[str]:
    return re.compile(read_data("prior_words.json")["examination_before_its_date"], re.IGNORECASE)


def _compared() -> re.Pattern[str]:
    return re.compile(read_data("prior_words.json")["comparison_before_its_date"], re.IGNORECASE)
