"""Synthetic sentences to tune the model on, composed from clauses, split by combination of codes.

Every sentence is invented by this module; no report of a patient has any part in it.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reporting.llm.wording import TUMOUR, placeholder_order, wording

HELD_OUT_SHARE = 0.1
_WITH_PRIOR_VALUE = 0.6
_WITH_SUVMAX = 0.9
_WITH_SIZE = 0.5
_WITH_CATEGORY = 0.7


@dataclass(frozen=True)
class Example:
    """A combination of codes, the placeholders to use, and one right wording."""

    codes: tuple[str, ...]
    placeholders: tuple[str, ...]
    answer: str


def combinations() -> list[tuple[str, ...]]:
    """Return every combination of codes that can occur, each sorted, in a fixed order."""
    names = wording().names
    return [
        tuple(sorted((f"kind:{kind}", f"uptake:{uptake}", f"ct:{ct}", f"change:{change}", f"class:{certainty}")))
        for certainty, worded in names["class"].values.items()
        for kind, uptake, ct, change in itertools.product(
            names["kind"].values, worded.uptake, worded.ct, names["change"].values
        )
        if _can_occur(uptake, change, certainty)
    ]


def is_held_out(codes: Sequence[str]) -> bool:
    """Say whether a combination belongs to the test set, by a hash of its codes: the same for every draw and seed."""
    digest = hashlib.sha256("|".join(sorted(codes)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT_SHARE


def draw_examples(count: int, seed: int, *, held_out: bool = False) -> list[Example]:
    """Draw sentences, each of a combination of its own as long as there are enough of them.

    Classes are drawn evenly, because the rare ones would otherwise hardly be seen.

    Args:
        count: How many.
        seed: Decides combinations, placeholders and wordings.
        held_out: Draw from the test combinations instead of the training ones.
    """
    rng = np.random.default_rng(seed)
    return [_example(codes, rng) for codes in itertools.islice(_evenly(rng, held_out), count)]


def compose(codes: Sequence[str], placeholders: Sequence[str], rng: np.random.Generator) -> str:
    """Return one wording of a combination with the given placeholders, in their order."""
    values = dict(code.split(":", 1) for code in codes)
    middle = [part for part in (_said("ct", values, rng), _change(values, placeholders, rng)) if part]
    if rng.random() < 0.5:
        middle.reverse()
    text = _head(values, placeholders, rng)
    for part in middle:
        flows_on = part.startswith("with") and text.endswith(("uptake", "({suvmax})"))
        text += f" {part}" if flows_on else f", {part}"
    if certainty := _certainty(values, placeholders, rng):
        text += _pick(rng, (", ", "; ")) + certainty
    return f"{text}."


def _can_occur(uptake: str, change: str, certainty: str) -> bool:
    if change == "resolved":
        return uptake == "none"
    return (uptake, change) != ("none", "increased") and (change, certainty) != ("new", "treated")


def _evenly(rng: np.random.Generator, held_out: bool) -> Iterator[tuple[str, ...]]:
    by_class: dict[str, list[tuple[str, ...]]] = {}
    for codes in combinations():
        if is_held_out(codes) == held_out:
            by_class.setdefault(next(code for code in codes if code.startswith("class:")), []).append(codes)
    orders = [itertools.cycle(rng.permutation(len(group)).tolist()) for group in by_class.values()]
    while True:
        for group, order in zip(by_class.values(), orders, strict=True):
            yield group[next(order)]


def _example(codes: tuple[str, ...], rng: np.random.Generator) -> Example:
    values = dict(code.split(":", 1) for code in codes)
    placeholders = _placeholders(values, rng)
    return Example(codes, placeholders, compose(codes, placeholders, rng))


def _placeholders(values: dict[str, str], rng: np.random.Generator) -> tuple[str, ...]:
    comparable = bool(wording().names["change"].values[values["change"]].clauses_with_prior)
    suvmax, size, prior, category = rng.random(4) < (_WITH_SUVMAX, _WITH_SIZE, _WITH_PRIOR_VALUE, _WITH_CATEGORY)
    wanted = {
        "site": True,
        "size": size,
        "suvmax": suvmax,
        "prior_suvmax": suvmax and prior and comparable,
        "category": category and values["class"] != "undetermined",
    }
    return tuple(name for name in placeholder_order() if wanted[name])


def _head(values: dict[str, str], placeholders: Sequence[str], rng: np.random.Generator) -> str:
    uptake = _said("uptake", values, rng)
    if "suvmax" in placeholders:
        uptake = _pick(rng, wording().suvmax).replace("<uptake>", uptake)
    heads = wording().heads
    return _pick(rng, heads.size if "size" in placeholders else heads.plain).replace("<uptake>", uptake)


def _change(values: dict[str, str], placeholders: Sequence[str], rng: np.random.Generator) -> str:
    if "prior_suvmax" in placeholders:
        return _pick(rng, wording().names["change"].values[values["change"]].clauses_with_prior)
    return _said("change", values, rng)


def _certainty(values: dict[str, str], placeholders: Sequence[str], rng: np.random.Generator) -> str:
    said = _said("class", values, rng).replace(TUMOUR, _pick(rng, wording().tumour[values["kind"]]))
    if "category" in placeholders:
        said = _pick(rng, wording().category).replace("<class>", said)
    return said


def _said(name: str, values: dict[str, str], rng: np.random.Generator) -> str:
    clauses = wording().names[name].values[values[name]].clauses
    return _pick(rng, clauses) if clauses else ""


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
