"""Who takes part in a round, and how long the others are waited for."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from fedpsma.errors import InputError


class Participation(BaseModel):
    """The rules of a round beside the plan's ``min_sites``, below which it fails.

    ``sites_per_round`` are drawn for each round (``None``: all). ``deadline_s`` after its start a round goes on
    without the stragglers, as soon as ``min_sites`` have answered well; ``None`` waits for all until the federation's
    ``round_timeout_s``. Under secure aggregation it holds for each exchange, from its own start. ``dropout`` is the
    chance of a site to be away in a round, for simulations. ``norm_limit`` sets an update aside that is so many times
    as long as the median of the others; ``None`` checks no norm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sites_per_round: int | None = Field(default=None, ge=1)
    deadline_s: float | None = Field(default=None, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    norm_limit: float | None = Field(default=5.0, gt=1)

    def require_enough(self, least: int, strategy: str) -> None:
        """Raise InputError where fewer sites are asked in a round than its plan and strategy need."""
        if self.sites_per_round is not None and self.sites_per_round < least:
            what = f"{self.sites_per_round} asked in a round, the plan with {strategy} needs {least}"
            raise InputError(what, where="participation.sites_per_round", remedy=f"ask {least} or more")


def drawn_sites(present: Sequence[str], rules: Participation, key: str) -> tuple[str, ...]:
    """Return the sites that are asked in a round; the same names and ``key`` give the same sites.

    Example:
        >>> drawn_sites(["B", "A"], Participation(), "run/1")
        ('A', 'B')
        >>> len(drawn_sites(["A", "B", "C"], Participation(sites_per_round=2), "run/1"))
        2
    """
    names = sorted(present)
    if rules.sites_per_round is None or rules.sites_per_round >= len(names):
        return tuple(names)
    return tuple(sorted(_generator(f"draw/{key}").sample(names, rules.sites_per_round)))


def away_sites(asked: Sequence[str], rules: Participation, key: str) -> frozenset[str]:
    """Return the sites that a simulation leaves away in a round, each by itself with the chance ``dropout``."""
    return frozenset(name for name in asked if _generator(f"away/{key}/{name}").random() < rules.dropout)


def _generator(key: str) -> random.Random:
    return random.Random(hashlib.sha256(key.encode()).digest())
