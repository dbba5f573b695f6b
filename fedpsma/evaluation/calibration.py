"""Do the probabilities hold: expected calibration error, reliability, and what abstaining costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fedpsma.evaluation.bootstrap import Values, Weights, blocks, quotient

BINS = 15
WANTED = 0.95
"""The positive and the negative predictive value at which a threshold would decide."""


class ReliabilityBin(BaseModel):
    """One bin of the reliability plot: how many foci, their mean probability and the share that is a lesion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    foci: float
    probability: float
    observed: float


@dataclass(frozen=True)
class Forecasts:
    """Probabilities of foci with what is true of them, equal probabilities together, the lowest first.

    ``probabilities`` (values,) rises; ``starts`` (values,) is where each begins in ``patients`` and ``events`` (foci,).
    """

    probabilities: NDArray[np.float64]
    starts: NDArray[np.intp]
    patients: NDArray[np.intp]
    events: NDArray[np.float64]

    @classmethod
    def of(cls, probabilities: Sequence[float], events: Sequence[bool], patients: NDArray[np.intp]) -> Forecasts:
        """Rank foci; ``patients`` holds the number (from 0) of the patient of each."""
        values = np.asarray(probabilities, dtype=np.float64)
        order = np.argsort(values, kind="stable")
        different, starts = np.unique(values[order], return_index=True)
        return cls(different, starts.astype(np.intp), patients[order], np.asarray(events, dtype=np.float64)[order])

    def calibration_error(self, weights: Weights, bins: int = BINS) -> Values:
        """Return the expected calibration error over bins of equal numbers of foci (Nguyen and O'Connor 2015).

        Resampling adds scatter within the bins, so its interval lies somewhat too high: with few foci read it as an
        upper bound.
        """
        return np.concatenate([self._error(block, bins) for block in blocks(weights, self.patients.size)])

    def reliability(self, patients: int, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
        """Return the bins of the sample that hold a focus."""
        foci, expected, observed = (part[0] for part in self._binned(np.ones((1, patients)), bins))
        return tuple(
            ReliabilityBin(foci=float(n), probability=float(p / n), observed=float(o / n))
            for n, p, o in zip(foci, expected, observed, strict=True)
            if n > 0
        )

    def undecided_at(self, wanted: float = WANTED) -> float:
        """Return the share of foci between the two thresholds that reach the wanted predictive values.

        Above the lowest threshold whose positive predictive value is high enough a focus would be called a lesion,
        below the highest whose negative predictive value is high enough it would not; NaN without a focus.
        """
        count, events = self._sizes().astype(np.float64), np.add.reduceat(self.events, self.starts)
        if not count.size:
            return float("nan")
        below, free = np.cumsum(count), np.cumsum(count - events)
        above, ill = np.cumsum(count[::-1]), np.cumsum(events[::-1])
        ruled_out = below[free / below >= wanted].max(initial=0.0)
        ruled_in = above[ill / above >= wanted].max(initial=0.0)
        return float(max(0.0, below[-1] - ruled_out - ruled_in) / below[-1])

    def _error(self, weights: Weights, bins: int) -> Values:
        foci, expected, observed = self._binned(weights, bins)
        return quotient(np.abs(expected - observed).sum(axis=1), foci.sum(axis=1))

    def _sizes(self) -> NDArray[np.intp]:
        return np.diff(self.starts, append=self.patients.size)

    def _binned(self, weights: Weights, bins: int) -> tuple[NDArray[np.float64], ...]:
        """Return foci, summed probability and summed lesions of each bin (rows, bins)."""
        rows = len(weights)
        if self.patients.size == 0:
            return tuple(np.zeros((rows, bins)) for _ in range(3))
        drawn = weights[:, self.patients]
        foci = np.add.reduceat(drawn, self.starts, axis=1)
        events = np.add.reduceat(drawn * self.events, self.starts, axis=1)
        below = np.cumsum(foci, axis=1)
        total = np.maximum(below[:, -1:], 1.0)
        chosen = np.minimum((bins * (below - foci / 2.0) / total).astype(np.intp), bins - 1)
        flat = (chosen + bins * np.arange(rows)[:, None]).ravel()
        sums = [
            np.bincount(flat, weights=part.ravel(), minlength=rows * bins).reshape(rows, bins).astype(np.float64)
            for part in (foci, foci * self.probabilities, events)
        ]
        return tuple(sums)
