"""From codes to a sentence template in a style: one wording, or all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reporting.sentences import SentenceRequest
from reporting.wording.phrasing import TUMOUR, Phrasing
from reporting.wording.vocabulary import split_codes


class Picker(Protocol):
    """Chooses between wordings."""

    def pick(self, choices: Sequence[str]) -> str:
        """Return one of the choices."""

    def coin(self) -> bool:
        """Return whether to change an order that is free."""


class First:
    """Always takes what a style says first: the templates."""

    def pick(self, choices: Sequence[str]) -> str:
        """Return the first."""
        return choices[0]

    def coin(self) -> bool:
        """Keep the order."""
        return False


@dataclass(frozen=True)
class Drawn:
    """Draws at random."""

    rng: np.random.Generator

    def pick(self, choices: Sequence[str]) -> str:
        """Return any."""
        return choices[int(self.rng.integers(len(choices)))]

    def coin(self) -> bool:
        """Change the order every other time."""
        return bool(self.rng.random() < 0.5)


def compose(phrasing: Phrasing, values: Mapping[str, str], placeholders: Sequence[str], picker: Picker) -> str:
    """Return one wording of code values with the given placeholders, in their order.

    Example:
        >>> from reporting.wording.phrasing import style
        >>> codes = {"kind": "bone", "uptake": "low", "ct": "none", "change": "new", "class": "indeterminate"}
        >>> compose(style("terse", "en"), codes, ("site", "suvmax"), First())
        '{site}: low uptake, {suvmax}, no CT correlate, new since prior; indeterminate.'
    """
    ct, change = (_picked(found, picker) for found in _middles(phrasing, values, placeholders))
    middle = [part for part in (ct, change) if part]
    if picker.coin() and phrasing.any_order:
        middle.reverse()
    text = _head(phrasing, values, placeholders, picker)
    for part in middle:
        text = _joined(text, part)
    return f"{text}{_certainty(phrasing, values, placeholders, picker)}."


def alternatives(
    phrasing: Phrasing, values: Mapping[str, str], placeholders: Sequence[str]
) -> list[list[tuple[str, ...]]]:
    """Return every wording: each order as a list of slots, and each slot as the texts that may stand in it.

    Example:
        >>> from reporting.wording.phrasing import style
        >>> codes = {"kind": "bone", "uptake": "low", "ct": "unknown", "change": "new", "class": "undetermined"}
        >>> alternatives(style("terse", "en"), codes, ("site",))
        [[('{site}: low uptake, new since prior',), ('.',)]]
    """
    heads, endings = _heads(phrasing, values, placeholders), _endings(phrasing, values, placeholders)
    middles = [found for found in _middles(phrasing, values, placeholders) if found]
    orders = [middles, middles[::-1]] if phrasing.any_order and len(middles) > 1 else [middles]
    return [[*_slots(heads, order), tuple(f"{ending}." for ending in endings)] for order in orders]


def is_of_style(text: str, request: SentenceRequest, phrasing: Phrasing) -> bool:
    """Whether a sentence template is one of the wordings that a style has for a request."""
    values = split_codes(request.codes)
    if values is None:
        return False
    return any(_is_made_of(text, slots) for slots in alternatives(phrasing, values, request.placeholders))


def _is_made_of(text: str, slots: Sequence[Sequence[str]]) -> bool:
    if not slots:
        return not text
    return any(text.startswith(part) and _is_made_of(text[len(part) :], slots[1:]) for part in slots[0])


def _slots(heads: Sequence[str], order: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    if not order:
        return [tuple(heads)]
    first = tuple(_joined(head, part) for head in heads for part in order[0])
    return [first, *(tuple(f", {part}" for part in later) for later in order[1:])]


def _middles(phrasing: Phrasing, values: Mapping[str, str], placeholders: Sequence[str]) -> list[tuple[str, ...]]:
    change = phrasing.clauses["change"][values["change"]]
    if "prior_suvmax" in placeholders:
        change = phrasing.clauses_with_prior[values["change"]]
    return [phrasing.clauses["ct"][values["ct"]], change]


def _picked(choices: Sequence[str], picker: Picker) -> str:
    return picker.pick(choices) if choices else ""


def _joined(text: str, part: str) -> str:
    flows_on = part.startswith("with") and text.endswith(("uptake", "({suvmax})"))
    return f"{text} {part}" if flows_on else f"{text}, {part}"


def _head(phrasing: Phrasing, values: Mapping[str, str], placeholders: Sequence[str], picker: Picker) -> str:
    uptake = picker.pick(phrasing.clauses["uptake"][values["uptake"]])
    if "suvmax" in placeholders:
        uptake = picker.pick(phrasing.suvmax).replace("<uptake>", uptake)
    heads = phrasing.heads.size if "size" in placeholders else phrasing.heads.plain
    return picker.pick(heads).replace("<uptake>", uptake)


def _heads(phrasing: Phrasing, values: Mapping[str, str], placeholders: Sequence[str]) -> list[str]:
    frames = phrasing.suvmax if "suvmax" in placeholders else ("<uptake>",)
    heads = phrasing.heads.size if "size" in placeholders else phrasing.heads.plain
    return [
        head.replace("<uptake>", frame.replace("<uptake>", uptake))
        for head in heads
        for frame in frames
        for uptake in phrasing.clauses["uptake"][values["uptake"]]
    ]


def _certainty(phrasing: Phrasing, values: Mapping[str, str], placeholders: Sequence[str], picker: Picker) -> str:
    said = _picked(phrasing.certainty(values["kind"], values["class"]), picker)
    said = said.replace(TUMOUR, picker.pick(phrasing.tumour[values["kind"]]))
    if "category" in placeholders:
        said = picker.pick(phrasing.category).replace("<class>", said)
    return picker.pick(phrasing.joins) + said if said else ""


def _endings(phrasing: Phrasing, values: Mapping[str, str], placeholders: Sequence[str]) -> list[str]:
    said = [
        clause.replace(TUMOUR, word)
        for clause in phrasing.certainty(values["kind"], values["class"])
        for word in phrasing.tumour[values["kind"]]
    ]
    if "category" in placeholders:
        said = [frame.replace("<class>", one) for frame in phrasing.category for one in said]
    return list(dict.fromkeys(join + one for join in phrasing.joins for one in said)) or [""]
