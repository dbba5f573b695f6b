"""Intervals that treat the patient as the unit: patients are drawn with replacement, never scans or lesions.

A drawn sample is a row of whole numbers: how often each patient was drawn. Every figure of the package is a function
of such rows, computed for all of them at once, and the first row, each patient once, is the sample itself. So the value
and its interval come out of one formula, and two models drawn with the same rows are compared patient by patient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Weights = NDArray[np.float64]
"""How often each patient counts (1 + replicates, patients); the first row is all ones."""

Values = NDArray[np.float64]
"""A figure for each row of the weights (1 + replicates,); NaN where a drawn sample does not define it."""

REPLICATES = 2000
LEVEL = 0.95
_BLOCK = 400_000


class Figure(BaseModel):
    """A value with its 95 % interval over patients; ``None`` where it is not defined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Render the value with its interval, "not defined" where there is none."""
        if self.value is None:
            return "not defined"
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} ({self.low:.2f}-{self.high:.2f})"


def draw_weights(patients: int, rng: np.random.Generator, replicates: int = REPLICATES) -> Weights:
    """Draw patients with replacement, as many as there are; of one patient alone there is nothing to draw.

    Example:
        >>> weights = draw_weights(3, np.random.default_rng(0), replicates=5)
        >>> weights.shape, weights.sum(axis=1).tolist()
        ((6, 3), [3.0, 3.0, 3.0, 3.0, 3.0, 3.0])
    """
    if patients < 1:
        raise ValueError("there is no patient to draw")
    if patients == 1:
        return np.ones((1, 1))
    drawn = rng.multinomial(patients, np.full(patients, 1.0 / patients), size=replicates)
    return np.vstack([np.ones((1, patients)), drawn]).astype(np.float64)


def figure_of(values: Values, level: float = LEVEL) -> Figure:
    """Return the value of the sample with the percentile interval of its replicates.

    Replicates without a value are left out. One patient alone has no interval.

    Example:
        >>> str(figure_of(np.array([2.0, 1.0, 2.0, 3.0, 2.0])))
        '2.00 (1.08-2.92)'
    """
    value, drawn = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not math.isfinite(value):
        return Figure(value=None)
    if drawn.size == 0:
        return Figure(value=value)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Figure(value=value, low=float(low), high=float(high))


def ratio(weights: Weights, patients: NDArray[np.intp], parts: Sequence[float], wholes: Sequence[float]) -> Values:
    """Return the ratio of two sums over the drawn patients; NaN where the sum below is zero.

    Args:
        weights: See :data:`Weights`.
        patients: Number (from 0) of the patient of each record.
        parts: What each record adds above.
        wholes: What each record adds below.

    Example:
        >>> ratio(np.array([[1.0, 1.0], [2.0, 0.0]]), np.array([0, 1]), [1.0, 3.0], [1.0, 1.0]).tolist()
        [2.0, 1.0]
    """
    above = weights @ by_patient(weights, patients, parts)
    below = weights @ by_patient(weights, patients, wholes)
    return quotient(above, below)


def mean(weights: Weights, patients: NDArray[np.intp], values: Sequence[float]) -> Values:
    """Return the mean over all records of the drawn patients; records that are NaN are left out."""
    numbers = np.asarray(values, dtype=np.float64)
    known = np.isfinite(numbers)
    return ratio(weights, patients[known], numbers[known].tolist(), np.ones(int(known.sum())).tolist())


def median(weights: Weights, patients: NDArray[np.intp], values: Sequence[float]) -> Values:
    """Return the median over all records of the drawn patients; records that are NaN are left out.

    Example:
        >>> median(np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 1.0]]), np.arange(3), [5.0, 1.0, 2.0]).tolist()
        [2.0, 1.0]
    """
    numbers = np.asarray(values, dtype=np.float64)
    order = np.argsort(numbers, kind="stable")[: int(np.isfinite(numbers).sum())]
    if order.size == 0:
        return np.full(len(weights), np.nan)
    ranked, counted = numbers[order], np.cumsum(weights[:, patients[order]], axis=1)
    half = counted[:, -1:] / 2.0
    lower = np.minimum((counted < half).sum(axis=1), order.size - 1)
    upper = np.minimum((counted <= half).sum(axis=1), order.size - 1)
    middle = (ranked[lower] + ranked[upper]) / 2.0
    return np.where(counted[:, -1] > 0, middle, np.nan)


def blocks(weights: Weights, columns: int) -> Iterator[Weights]:
    """Part the rows so that one block with ``columns`` numbers a row stays in the processor's cache."""
    rows = max(1, _BLOCK // max(1, columns))
    for start in range(0, len(weights), rows):
        yield weights[start : start + rows]


def by_patient(weights: Weights, patients: NDArray[np.intp], values: Sequence[float]) -> NDArray[np.float64]:
    """Return the sum of the values of each patient (patients,)."""
    added = np.asarray(values, dtype=np.float64)
    return np.bincount(patients, weights=added, minlength=weights.shape[1]).astype(np.float64)


def quotient(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide element by element; NaN where there is nothing below."""
    shape = np.broadcast_shapes(above.shape, below.shape)
    return np.asarray(np.divide(above, below, out=np.full(shape, np.nan), where=below > 0), dtype=np.float64)
