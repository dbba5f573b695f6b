"""Limits in a site's policy: hours of the day, and bounds of single settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def _checked_span(text: str) -> str:
    if not _SPAN.fullmatch(text):
        raise ValueError('hours are written like "19:00-06:30"')
    return text


Span = Annotated[str, AfterValidator(_checked_span)]
"""Hours of the day from the one up to the other, like "19:00-06:30"; they may pass midnight."""


@dataclass(frozen=True)
class Hours:
    """Several spans of the day; none means all of it."""

    spans: tuple[Span, ...]

    def include(self, now: time) -> bool:
        """Return whether a time of day lies in one of the spans.

        Example:
            >>> Hours(("19:00-06:30",)).include(time(2)), Hours(("19:00-06:30",)).include(time(12))
            (True, False)
        """
        return not self.spans or any(_within(span, now) for span in self.spans)


def _within(span: str, now: time) -> bool:
    first, last = (time.fromisoformat(part) for part in span.split("-"))
    return first <= now < last if first < last else now >= first or now < last


class Limit(BaseModel):
    """What one setting may be: at least, at most, or one of several values; bounds refuse what is no number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least: float | None = Field(default=None, allow_inf_nan=False)
    most: float | None = Field(default=None, allow_inf_nan=False)
    among: tuple[bool | float | str, ...] | None = None

    @model_validator(mode="after")
    def _require_something(self) -> Self:
        if self.least is None and self.most is None and self.among is None:
            raise ValueError("a limit needs least, most or among")
        return self

    def allows(self, value: Any) -> bool:
        """Return whether a value of a setting is allowed.

        Example:
            >>> Limit(least=2).allows(3), Limit(among=("cpu",)).allows("cuda"), Limit(most=8).allows(None)
            (True, False, False)
        """
        if self.among is not None and value not in self.among:
            return False
        if self.least is None and self.most is None:
            return True
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)
