"""The wording of the report in each language: templates with placeholders, names of sites, words for codes."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from reporting.sentences import Language


class Phrases:
    """The phrases of one language, from ``phrases/<language>.json``.

    Example:
        >>> Phrases("de").word("heading", "bone")
        'Knochen'
    """

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        text = resources.files(__package__).joinpath(f"{language}.json").read_text("utf-8")
        self._words: dict[str, Any] = json.loads(text)

    def word(self, table: str, key: str) -> str:
        """Return one entry of a table; raises ``KeyError`` for an entry that does not exist."""
        return str(self._words[table][key])

    def has(self, table: str, key: str) -> bool:
        """Whether a table holds an entry."""
        return key in self._words[table]

    def gap(self, field: str) -> str:
        """Return the visible gap for a value that nobody gave."""
        return self.word("gap", "not_provided").replace("{field}", self.word("field", field))

    def count(self, number: int) -> str:
        """Return a count as a word up to twelve, as digits above.

        Example:
            >>> Phrases("en").count(3), Phrases("en").count(14)
            ('three', '14')
        """
        words: list[str] = self._words["counts"]
        return words[number] if number < len(words) else str(number)


@cache
def phrases(language: Language) -> Phrases:
    """Return the phrases of a language, read once."""
    return Phrases(language)
