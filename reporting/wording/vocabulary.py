"""The closed vocabulary of a finding: its codes, its placeholders, and the marks by which a reader recognises each."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from functools import cache

from pydantic import BaseModel, ConfigDict

from reporting.data_files import read_data
from reporting.sentences import Language

HELD_OUT_SHARE = 0.1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NameMarks(_Record):
    """The marks of each value of one code; ``topic_words`` must not occur where the value is silent."""

    topic_words: tuple[str, ...]
    values: dict[str, tuple[str, ...]]


class Marks(_Record):
    """The content of ``data/marks.<language>.json``; everything is lower case."""

    about: str
    source: str
    banned_words: tuple[str, ...]
    negations: tuple[str, ...]
    names: dict[str, NameMarks]


@cache
def marks(language: Language) -> Marks:
    """Return the marks of a language."""
    return Marks.model_validate(read_data(f"marks.{language}.json"))


@cache
def placeholder_order() -> tuple[str, ...]:
    """Return the placeholders a sentence may hold, in the order in which they must come.

    Example:
        >>> placeholder_order()[0]
        'site'
    """
    return tuple(read_data("codes.json")["order"])


def values_of(name: str) -> tuple[str, ...]:
    """Return the values of a code.

    Example:
        >>> values_of("uptake")
        ('none', 'low', 'intense', 'undetermined')
    """
    return tuple(read_data("codes.json")["codes"][name]["values"])


def split_codes(codes: Sequence[str]) -> dict[str, str] | None:
    """Return the values by name, or ``None`` where a name or value is unknown, doubled or missing.

    Example:
        >>> split_codes(["kind:bone"]) is None
        True
    """
    values = dict(code.split(":", 1) for code in codes if ":" in code)
    names = read_data("codes.json")["codes"]
    complete = len(values) == len(codes) and values.keys() == names.keys()
    return values if complete and all(value in names[name]["values"] for name, value in values.items()) else None


def combinations() -> list[tuple[str, ...]]:
    """Return every combination of codes that can occur, each sorted, in a fixed order."""
    return [
        tuple(sorted((f"kind:{kind}", f"uptake:{uptake}", f"ct:{ct}", f"change:{change}", f"class:{certainty}")))
        for certainty, row in read_data("codes.json")["codes"]["class"]["values"].items()
        for kind, uptake, ct, change in itertools.product(
            values_of("kind"), row["uptake"], row["ct"], values_of("change")
        )
        if _can_occur(uptake, change, certainty)
    ]


def is_held_out(codes: Sequence[str]) -> bool:
    """Say whether a combination belongs to the test set, by a hash of its codes: the same for every draw and seed."""
    digest = hashlib.sha256("|".join(sorted(codes)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT_SHARE


def vocabulary_fingerprint(language: Language) -> str:
    """Return a short hash of the codes and their marks: what a wording may say depends on nothing else."""
    content = [read_data("codes.json"), read_data(f"marks.{language}.json")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _can_occur(uptake: str, change: str, certainty: str) -> bool:
    if change == "resolved":
        return uptake == "none"
    return (uptake, change) != ("none", "increased") and (change, certainty) != ("new", "treated")
