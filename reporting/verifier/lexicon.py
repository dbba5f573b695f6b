"""The words by which the verifier reads a report."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from importlib import resources
from typing import Any

from fedpsma.domain.region import Region
from reporting.sentences import Language


@dataclass(frozen=True)
class Word:
    """A pattern and what it stands for."""

    meaning: str
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class RegionWord:
    """A pattern that names one region or a group of regions; an empty set is a word that names none."""

    regions: frozenset[Region]
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class LevelWord:
    """A vertebra or rib by number, and how the text of a CT correlate would name the same."""

    region: Region
    pattern: re.Pattern[str]
    source: str


class Lexicon:
    """``lexicon.json`` for one language, compiled."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language

    def pattern(self, *path: str) -> re.Pattern[str]:
        """Return one pattern by its path."""
        return _pattern(self.language, path)

    @cached_property
    def plain(self) -> re.Pattern[str]:
        """The words that assert nothing."""
        # Longer words first: "ct-only" is one word, not "ct" and a rest.
        words = "|".join(
            word.replace("*", r"\w*") for word in sorted(_plain_words()[self.language], key=len, reverse=True)
        )
        return _compiled(rf"(?<!\w)(?:{words})(?!\w)")

    def words(self, table: str, meaning: str, pattern: str | None = None) -> tuple[Word, ...]:
        """Return a table as words; ``pattern`` names the column where it is the same in both languages."""
        return _words(table, meaning, pattern or self.language)

    @cached_property
    def sides(self) -> tuple[Word, ...]:
        """The words for sides."""
        return self.words("sides", "side")

    @cached_property
    def claims(self) -> tuple[Word, ...]:
        """The statements about lesions, in the order in which they are looked for."""
        return self.words("claims", "claim")

    def claim(self, meaning: str) -> re.Pattern[str]:
        """Return the pattern of one claim."""
        return next(word.pattern for word in self.claims if word.meaning == meaning)

    @cached_property
    def regions(self) -> tuple[RegionWord, ...]:
        """The words for regions, the closer ones first."""
        rows = _content()["regions"]
        return tuple(RegionWord(_regions(row["regions"]), _compiled(row[self.language])) for row in rows)

    @cached_property
    def levels(self) -> tuple[LevelWord, ...]:
        """The words for numbered vertebrae and ribs."""
        rows = _content()["levels"]
        return tuple(LevelWord(Region(row["region"]), _compiled(row[self.language]), row["source"]) for row in rows)

    @cached_property
    def counts(self) -> re.Pattern[str]:
        """Counts written as words."""
        return _compiled(rf"\b(?:{'|'.join(word for word in self._count_words if word != '-')})\b")

    def count(self, word: str) -> int:
        """Return the number a count word stands for."""
        return self._count_words.index(word.lower())

    @property
    def _count_words(self) -> list[str]:
        words: list[str] = _content()["counts"][self.language]
        return words

    @cached_property
    def gap_fields(self) -> dict[str, str]:
        """What the fields are called in a visible gap."""
        fields: dict[str, str] = _content()["gap_fields"]
        return fields

    @cached_property
    def element_labels(self) -> frozenset[str]:
        """The words that may stand before an element of a rationale."""
        return frozenset(_content()["element_labels"])

    def meaning(self, table: str, key: str, word: str) -> str:
        """Return what a word of a two-step table stands for."""
        return str(_content()[table][key][word.lower()])


@cache
def lexicon(language: Language) -> Lexicon:
    """Return the lexicon of a language, compiled once."""
    return Lexicon(language)


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(resources.files(__package__).joinpath("lexicon.json").read_text("utf-8"))
    return content


@cache
def _plain_words() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(resources.files(__package__).joinpath("plain_words.json").read_text("utf-8"))
    return content


@cache
def _pattern(language: Language, path: tuple[str, ...]) -> re.Pattern[str]:
    found: Any = _content()
    for step in path:
        found = found[step]
    return _compiled(found[language] if isinstance(found, dict) else found)


@cache
def _words(table: str, meaning: str, pattern: str) -> tuple[Word, ...]:
    return tuple(Word(row[meaning], _compiled(row[pattern])) for row in _content()[table])


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


@cache
def _regions_of(pattern: str) -> frozenset[Region]:
    return frozenset(region for region in Region if fnmatchcase(region.value, pattern))


def _regions(patterns: list[str]) -> frozenset[Region]:
    return frozenset().union(*(_regions_of(pattern) for pattern in patterns))
