"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; ``check`` is the name of the check that found it."""

    check: str
    detail: str
