"""Intervals that treat the patient as the unit: patients are drawn with replacement, never scans or lesions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Record = TypeVar("Record")


@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap interval; all NaN where it is not defined."""

    value: float
    low: float
    high: float


def patient_bootstrap(
    patients: Sequence[Sequence[Record]],
    statistic: Callable[[Sequence[Record]], float],
    rng: np.random.Generator,
    *,
    replicates: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Return a statistic with its percentile interval.

    Args:
        patients: The records (scans) of each patient; a drawn patient brings all of them.
        statistic: Computed on the records of the drawn patients, pooled.
        rng: Source of the draws.
        replicates: Number of draws.
        level: Coverage of the interval.

    Example:
        >>> patient_bootstrap([[1.0], [1.0]], lambda records: sum(records) / len(records), np.random.default_rng(0))
        Interval(value=1.0, low=1.0, high=1.0)
    """
    value = statistic([record for patient in patients for record in patient])
    draws = rng.integers(len(patients), size=(replicates, len(patients)))
    drawn = np.array([statistic([record for chosen in draw for record in patients[chosen]]) for draw in draws])
    drawn = drawn[~np.isnan(drawn)]
    if drawn.size == 0:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))
