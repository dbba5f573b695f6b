"""Histograms of scores on one fixed grid, neighbours joined until no part tells of fewer than five patients.

The grid is that of log-odds from -8 to 8 in steps of a quarter; what lies beyond falls into the first and the last bin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fedpsma.federated.disclosure import LEAST_PATIENTS

FURTHEST, WIDTH = 8.0, 0.25
BINS = int(2 * FURTHEST / WIDTH)

_STEPS = 50
_LEAST_SHARE = 1e-9

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]


class Run(BaseModel):
    """Neighbouring bins told together: from bin ``low`` up to and without ``high``, how many of each kind lie there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int
    high: int
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Scored:
    """What is counted: the score (log-odds) of each, its kind (from 0) and its patient."""

    scores: Floats
    kinds: Integers
    patients: Integers

    def bins(self) -> Integers:
        """Return the bin of each."""
        return np.clip(np.floor((self.scores + FURTHEST) / WIDTH), 0, BINS - 1).astype(np.intp)

    def table(self, kinds: int, patient: int | None = None) -> Floats:
        """Return how many of each kind lie in each bin (kinds, bins), of all patients or of one."""
        chosen = np.ones(len(self.kinds), dtype=bool) if patient is None else self.patients == patient
        table = np.zeros((kinds, BINS))
        np.add.at(table, (self.kinds[chosen], self.bins()[chosen]), 1.0)
        return table


def edges() -> Floats:
    """Return the edges of the grid (bins + 1)."""
    return np.linspace(-FURTHEST, FURTHEST, BINS + 1)


def runs_of(found: Scored, kinds: int) -> tuple[Run, ...]:
    """Return the histogram as it may be told, from the highest scores down; nothing where there are too few patients.

    Bins are joined until what they hold comes from at least five patients; what is left over below joins the last run.
    """
    table, bins = found.table(kinds), found.bins()
    cuts, seen = [BINS], set[int]()
    for at in reversed(range(BINS)):
        seen |= set(found.patients[bins == at].tolist())
        if len(seen) >= LEAST_PATIENTS:
            cuts.append(at)
            seen = set()
    if len(cuts) == 1:
        return ()
    cuts[-1] = 0
    return tuple(Run(low=low, high=up, counts=_whole(table[:, low:up].sum(axis=1))) for up, low in pairwise(cuts))


def spread(sites: Iterable[Sequence[Run]], kinds: int) -> Floats:
    """Return the histograms of all sites together (kinds, bins).

    What one site joined is spread over its bins as all sites together lie there, found by expectation maximisation
    (Turnbull 1976), and evenly where nobody tells more.

    Example:
        >>> spread([[Run(low=0, high=2, counts=(4,))]], 1)[0, :3].tolist()
        [2.0, 2.0, 0.0]
    """
    runs = [run for site in sites for run in site]
    table = np.full((kinds, BINS), 1.0)
    for _ in range(_STEPS if runs else 0):
        expected = np.zeros_like(table)
        for run in runs:
            part = table[:, run.low : run.high] + _LEAST_SHARE
            expected[:, run.low : run.high] += np.array(run.counts)[:, None] * part / part.sum(axis=1, keepdims=True)
        table = expected
    return table if runs else np.zeros_like(table)


def _whole(counts: Floats) -> tuple[int, ...]:
    return tuple(int(count) for count in counts)
