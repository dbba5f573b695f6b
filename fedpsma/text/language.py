"""Tells whether a text is in a language that the readers know."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Literal

from fedpsma.text.passages import read_data

Known = Literal["en", "de"]

_WORD = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)*")
_FOREIGN_SCRIPT = 0.3  # share of letters that are not Latin
_ENOUGH_WORDS = 25  # from here on a text must show its language by frequent words
_LEAST_KNOWN = 0.04


def find_language(text: str) -> Known | None:
    """Return the language of a text, English or German, null where it is in another one or in none.

    A short telegraphic text that shows no language counts as English: its terms are the same in both. Text that mixes
    both counts as the one with more of its words.

    Example:
        >>> find_language("LK iliakal ext. links, SUVmax 9,8"), find_language("Pas de fixation dans le foie, les côtes")
        ('de', None)
    """
    words = [word.lower() for word in _WORD.findall(text) if len(word) > 1]
    if _is_foreign_script(text):
        return None
    counts = {name: sum(word in known for word in words) for name, known in _lists().items()}
    ours = counts["en"] + counts["de"]
    if counts["other"] >= 3 and counts["other"] > ours:
        return None
    if len(words) >= _ENOUGH_WORDS and ours < _LEAST_KNOWN * len(words):
        return None
    return "de" if counts["de"] > counts["en"] else "en"


def _is_foreign_script(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    foreign = sum(character > "\u024f" and "LATIN" not in unicodedata.name(character, "") for character in letters)
    return bool(letters) and foreign > _FOREIGN_SCRIPT * len(letters)


@cache
def _lists() -> dict[str, frozenset[str]]:
    content = read_data("languages.json")
    return {name: frozenset(content[name]) for name in ("en", "de", "other")}
