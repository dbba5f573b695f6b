"""Reads therapies, accompanying conditions, ISUP grade and biopsy results out of clinical free text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from fedpsma.domain.exam import Clinical
from fedpsma.domain.region import Side
from fedpsma.text.guard import mask_untrusted
from fedpsma.text.passages import read_data
from fedpsma.text.regions import find_sides

TherapyKind = Literal[
    "prostatectomy", "radiotherapy", "focal", "hormonal", "chemotherapy", "radioligand", "other_systemic"
]
BiopsyResult = Literal["prostate_cancer", "benign", "other_malignancy"]

_YEAR = re.compile(r"(?<!\d)((?:19|20)\d{2})(?!\d)")
_ISUP = re.compile(
    r"\b(?:ISUP|grade group|GG|WHO|gruppe)\s*(?:grade|grad|group|gruppe|GG|:|=)?\s*([1-5])\b", re.IGNORECASE
)
_GLEASON = re.compile(r"(?<!\d)([3-5])\s?\+\s?([3-5])")
_NOT_GIVEN_REACH = 20


@dataclass(frozen=True)
class Therapy:
    """A therapy the patient had or has; ``year`` is the last year named with it, ``current`` whether it goes on."""

    kind: TherapyKind
    systemic: bool
    year: int | None
    current: bool


@dataclass(frozen=True)
class Condition:
    """An accompanying condition by its canonical name, with the side where the text gives one."""

    name: str
    side: Side | None


@dataclass(frozen=True)
class ClinicalContext:
    """What the clinical free text says, as names from closed lists."""

    therapies: tuple[Therapy, ...]
    conditions: tuple[Condition, ...]
    isup: int | None

    def has(self, *names: str) -> bool:
        """Whether one of these conditions is known."""
        return any(condition.name in names for condition in self.conditions)

    def kinds(self) -> frozenset[TherapyKind]:
        """Return the kinds of therapy, past and current."""
        return frozenset(therapy.kind for therapy in self.therapies)


def read_clinical_context(clinical: Clinical) -> ClinicalContext:
    """Read all free text of the clinical part of an exam; instructions to the software in it are not read.

    Example:
        >>> context = read_clinical_context(Clinical(gleason="3+4=7", prior_therapy=["salvage RT 2018", "sarcoidosis"]))
        >>> context.isup, context.therapies[0].kind, context.therapies[0].year, context.has("sarcoidosis")
        (2, 'radiotherapy', 2018, True)
    """
    past = [mask_untrusted(entry) for entry in clinical.prior_therapy or []]
    current = [mask_untrusted(entry) for entry in clinical.current_therapy or []]
    everything = [mask_untrusted(text) for text in texts_in(clinical)]
    therapies = [*_therapies(past, current=False), *_therapies(current, current=True)]
    return ClinicalContext(
        therapies=tuple(therapies),
        conditions=tuple(dict.fromkeys(one for text in everything for one in _conditions(text))),
        isup=read_isup(mask_untrusted(clinical.gleason or "")),
    )


def read_isup(text: str) -> int | None:
    """Read the ISUP grade group, given or from the Gleason score; null where neither is there.

    Example:
        >>> read_isup("4+5=9 (ISUP 5)"), read_isup("4+3=7"), read_isup("unknown")
        (5, 3, None)
    """
    stated = _ISUP.search(text)
    if stated:
        return int(stated.group(1))
    score = _GLEASON.search(text)
    if not score:
        return None
    first, second = int(score.group(1)), int(score.group(2))
    if first + second == 7:
        return 2 if first == 3 else 3
    return {6: 1, 8: 4}.get(first + second, 5)


def read_biopsy(text: str | None, *, from_prostate: bool) -> BiopsyResult | None:
    """Read a biopsy result; null where none was done or the words do not decide.

    "Adenocarcinoma" alone counts as prostate cancer only in a sample of the prostate or its bed.

    Example:
        >>> read_biopsy("metastasis of prostate carcinoma, 03/2025", from_prostate=False)
        'prostate_cancer'
        >>> read_biopsy("pending", from_prostate=False) is None
        True
    """
    if not text:
        return None
    trusted = mask_untrusted(text)
    said = {
        name: _any_of(tuple(words)).search(trusted)
        for name, words in read_data("clinical_words.json")["biopsy"].items()
    }
    if said["not_done"]:
        return None
    if said["other_malignancy"]:
        return "other_malignancy"
    if said["benign"]:
        return "benign"
    if said["prostate_cancer"] or (from_prostate and said["ambiguous"]):
        return "prostate_cancer"
    return None


def texts_in(record: BaseModel) -> Iterator[str]:
    """Yield every text in a record, fields it does not know included.

    Example:
        >>> sorted(texts_in(Clinical(gleason="4+3", prior_therapy=["ADT"])))
        ['4+3', 'ADT']
    """
    yield from _strings(record.model_dump(mode="json"))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _therapies(entries: Iterable[str], *, current: bool) -> Iterator[Therapy]:
    for entry in entries:
        years = [int(year) for year in _YEAR.findall(entry)]
        for row in read_data("clinical_words.json")["therapies"]:
            match = _any_of(tuple(row["patterns"])).search(entry)
            if match and not _was_not_given(entry, match):
                yield Therapy(row["kind"], row.get("systemic", False), max(years, default=None), current)


def _was_not_given(entry: str, match: re.Match[str]) -> bool:
    words = _any_of(tuple(read_data("clinical_words.json")["not_given"]))
    around = entry[max(0, match.start() - _NOT_GIVEN_REACH) : match.start()]
    return (
        words.search(around) is not None
        or re.match(r"\W*(?:declined|refused|abgelehnt|planned|geplant)", entry[match.end() :]) is not None
    )


def _conditions(text: str) -> Iterator[Condition]:
    for row in read_data("clinical_words.json")["conditions"]:
        match = _any_of(tuple(row["patterns"])).search(text)
        if match and not _was_not_given(text, match):
            sides = find_sides(text)
            yield Condition(row["name"], sides[0][1] if len(sides) == 1 else None)


@cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(patterns)})(?!\w)", re.IGNORECASE)
