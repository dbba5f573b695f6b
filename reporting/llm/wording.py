"""The wordings and marks of every code, and the prompt that carries codes to the model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from pydantic import BaseModel, ConfigDict

from reporting.data_files import read_data

TUMOUR = "<tumour>"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ValueWording(_Record):
    """How one value of a code is said, and by which phrases (lower case) a reader recognises it.

    ``clauses_with_prior`` hold ``{prior_suvmax}``; ``uptake`` and ``ct`` name the values a class occurs with.
    """

    marks: tuple[str, ...]
    clauses: tuple[str, ...]
    clauses_with_prior: tuple[str, ...] = ()
    uptake: tuple[str, ...] = ()
    ct: tuple[str, ...] = ()


class NameWording(_Record):
    """The values of one code; ``topic_words`` must not occur where the value is silent."""

    topic_words: tuple[str, ...]
    values: dict[str, ValueWording]


class Heads(_Record):
    """How a sentence may begin, without and with the size."""

    plain: tuple[str, ...]
    size: tuple[str, ...]


class Wording(_Record):
    """The content of ``data/wording.json``."""

    about: str
    source: str
    system: str
    heads: Heads
    suvmax: tuple[str, ...]
    category: tuple[str, ...]
    tumour: dict[str, tuple[str, ...]]
    banned_words: tuple[str, ...]
    negations: tuple[str, ...]
    names: dict[str, NameWording]


@cache
def wording() -> Wording:
    """Return the English wordings."""
    return Wording.model_validate(read_data("wording.json"))


@cache
def placeholder_order() -> tuple[str, ...]:
    """Return the placeholders a sentence may hold, in the order in which they must come.

    Example:
        >>> placeholder_order()[0]
        'site'
    """
    return tuple(read_data("codes.json")["order"])


def split_codes(codes: Sequence[str]) -> dict[str, str] | None:
    """Return the values by name, or ``None`` where a name or value is unknown, doubled or missing.

    Example:
        >>> split_codes(["kind:bone"]) is None
        True
    """
    values = dict(code.split(":", 1) for code in codes if ":" in code)
    names = wording().names
    complete = len(values) == len(codes) and values.keys() == names.keys()
    return values if complete and all(value in names[name].values for name, value in values.items()) else None


def messages(codes: Sequence[str], placeholders: Sequence[str]) -> list[dict[str, str]]:
    r"""Return the chat that asks for one sentence: the codes and the placeholders, nothing else of the exam.

    Example:
        >>> messages(("change:none_prior", "class:suspicious"), ("site",))[1]["content"]
        'change: none prior; class: suspicious\n{site}'
    """
    facts = "; ".join(code.replace(":", ": ").replace("_", " ") for code in sorted(codes))
    slots = " ".join(f"{{{name}}}" for name in placeholders)
    return [{"role": "system", "content": wording().system}, {"role": "user", "content": f"{facts}\n{slots}"}]
