"""Reads misspelt clinical words: one word of the vocabulary, and only one, must be near."""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import combinations

from fedpsma.text.passages import read_data
from fedpsma.text.regions import find_mentions, find_sides

_SHORTEST = 6  # shorter words are too near to others; sides alone are read from five letters on, by a swap of two
_TWO_ERRORS_FROM = 9
_FOLDS = (("ä", "a"), ("ö", "o"), ("ü", "u"), ("ß", "ss"), ("ae", "a"), ("oe", "o"), ("ue", "u"))
_ENDINGS = ("er", "en", "em", "es", "e", "n", "s")  # of German adjectives and nouns
_LOOK_ALIKES = str.maketrans("01|$", "olls")


@lru_cache(maxsize=65536)
def corrected(word: str) -> str | None:
    """Return the word of the vocabulary that a misspelt one stands for; null where it is right, unknown or open.

    Example:
        >>> corrected("obturatro"), corrected("Lymphknten"), corrected("lfet"), corrected("patient")
        ('obturator', 'Lymphknoten', 'left', None)
    """
    found = None if _is_right(word) else _nearest(word)
    return found.capitalize() if found and word[0].isupper() else found


def _nearest(word: str) -> str | None:
    folded = _folded(word.translate(_LOOK_ALIKES))
    swapped = [side for side in read_data("vocabulary.json")["sides"] if _is_swap(folded, side)]
    if len(swapped) == 1:
        return str(swapped[0])
    if len(folded) < _SHORTEST or sum(character.isdigit() for character in word) > 2:
        return None
    for stem in (folded, *(folded.removesuffix(one) for one in _ENDINGS if folded.endswith(one))):
        if len(stem) >= _SHORTEST and (found := _one_near(stem)):
            return found
    return None


def _one_near(folded: str) -> str | None:
    """Return the only word of the vocabulary within the errors that a word of this length may have."""
    for errors in range(3 if len(folded) >= _TWO_ERRORS_FROM else 2):
        near = {
            known
            for variant in _shortened(folded, errors)
            for known in _index().get(variant, ())
            if _distance(folded, _folded(known)) <= errors
        }
        if near:
            forms = {_folded(known) for known in near}
            return min(near) if len(forms) == 1 else None
    return None


def _is_right(word: str) -> bool:
    return (
        word.lower() in _known() or any(len(one.regions) == 1 for one in find_mentions(word)) or bool(find_sides(word))
    )


@cache
def _known() -> frozenset[str]:
    return frozenset((*read_data("vocabulary.json")["words"], *read_data("vocabulary.json")["sides"]))


def _folded(word: str) -> str:
    word = word.lower()
    for old, new in _FOLDS:
        word = word.replace(old, new)
    return word


@cache
def _index() -> dict[str, tuple[str, ...]]:
    index: dict[str, list[str]] = {}
    for word in read_data("vocabulary.json")["words"]:
        for errors in range(3):
            for variant in _shortened(_folded(word), errors):
                index.setdefault(variant, []).append(word)
    return {variant: tuple(words) for variant, words in index.items()}


def _shortened(word: str, errors: int) -> set[str]:
    """All that is left of a word when up to so many letters are taken out."""
    found = {word}
    for number in range(1, errors + 1):
        for gone in combinations(range(len(word)), number):
            found.add("".join(letter for at, letter in enumerate(word) if at not in gone))
    return found


def _is_swap(word: str, side: str) -> bool:
    """Whether two neighbouring letters of a side are swapped, the first one never."""
    return (
        len(word) == len(side)
        and word != side
        and any(word == side[:at] + side[at + 1] + side[at] + side[at + 2 :] for at in range(len(side) - 1))
    )


def _distance(one: str, other: str) -> int:
    """Edits between two words: a letter too many, missing or wrong, or two swapped (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        now = [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(row[j] + 1, now[j - 1] + 1, row[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, before[j - 2] + 1)
            now.append(cost)
        before, row = row, now
    return row[-1]
