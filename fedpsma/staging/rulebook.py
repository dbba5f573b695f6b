"""The rules with their thresholds, sources and confidence tags, and what the frameworks hand back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Generic, TypeVar

from fedpsma.domain.assessment import Flag, TraceEntry

Value = TypeVar("Value")
EPSILON = 1e-9


@dataclass(frozen=True)
class Noted(Generic[Value]):
    """A result with the decisions that led to it and what the reader has to know of it."""

    value: Value
    trace: tuple[TraceEntry, ...] = ()
    flags: tuple[Flag, ...] = ()


@dataclass
class Notebook:
    """Collects the trace and the flags of one assessment."""

    trace: list[TraceEntry] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)

    def keep(self, noted: Noted[Value]) -> Value:
        """Take over the notes of a result and return the result."""
        self.trace += noted.trace
        self.flags += noted.flags
        return noted.value

    def flag(self, flags: Iterable[Flag]) -> None:
        """Add flags."""
        self.flags += flags


@dataclass(frozen=True)
class Rule:
    """One row of ``data/rules.json``: ``says`` is the rule in plain words, ``tag`` is C, S, P or UNCONFIRMED."""

    name: str
    title: str
    says: str
    source: str
    tag: str
    values: dict[str, float]


@cache
def rule(name: str) -> Rule:
    """Return a rule; raises ``KeyError`` for a name that does not exist.

    Example:
        >>> rule("recip").values["decrease_percent"]
        -30
    """
    row = read_data("rules.json")["rules"][name]
    return Rule(name, row["title"], row["says"], row["source"], row["tag"], row["values"])


def traced(name: str, inputs: dict[str, Any], result: Any) -> TraceEntry:
    """Write down one decision with the source and the tag of its rule."""
    used = rule(name)
    source = f"{used.source} [{used.tag}]"
    return TraceEntry(rule=name, says=used.says, source=source, inputs=inputs, result=result)


@cache
def read_data(name: str) -> Any:
    """Read one JSON file of this package's ``data`` folder."""
    return json.loads(resources.files(__package__).joinpath("data", name).read_text("utf-8"))


def percent_change(before: float, after: float) -> float:
    """Relative change in percent; ``before`` must not be zero.

    Example:
        >>> round(percent_change(412.0, 288.4), 1)
        -30.0
    """
    return (after - before) / before * 100.0


def at_least(value: float, limit: float) -> bool:
    """``value >= limit`` with room for rounding, so that 180/150 counts as +20 %.

    Example:
        >>> at_least(percent_change(150.0, 180.0), 20), percent_change(150.0, 180.0) >= 20
        (True, True)
    """
    return value >= limit - EPSILON


def at_most(value: float, limit: float) -> bool:
    """``value <= limit`` with room for rounding."""
    return value <= limit + EPSILON
