"""How well two measurements, or two stages, agree: CCC, Bland-Altman, equivalence and weighted kappa."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.stats import t as student

from fedpsma.evaluation.bootstrap import Values, Weights, by_patient, quotient

_LIMIT = 1.96


@dataclass(frozen=True)
class PairedMoments:
    """Sums over pairs of a true and a measured number, for every draw of patients at once.

    Each array is (1 + replicates,): the number of pairs, their means, variances (population) and covariance.
    """

    count: Values
    true_mean: Values
    found_mean: Values
    true_variance: Values
    found_variance: Values
    covariance: Values

    @classmethod
    def of(
        cls, weights: Weights, patients: NDArray[np.intp], true: Sequence[float], found: Sequence[float]
    ) -> PairedMoments:
        """Sum up pairs; ``patients`` holds the number (from 0) of the patient of each pair."""
        x, y = np.asarray(true, dtype=np.float64), np.asarray(found, dtype=np.float64)
        # Variances as differences of sums lose digits far from zero.
        shift_x, shift_y = (float(values.mean()) if values.size else 0.0 for values in (x, y))
        x, y = x - shift_x, y - shift_y
        with np.errstate(divide="ignore", invalid="ignore"):
            count = weights @ by_patient(weights, patients, np.ones(x.size).tolist())
            mx, my, mxx, myy, mxy = (
                weights @ by_patient(weights, patients, values.tolist()) / count
                for values in (x, y, x * x, y * y, x * y)
            )
        variance_x, variance_y = np.maximum(mxx - mx**2, 0.0), np.maximum(myy - my**2, 0.0)
        return cls(count, mx + shift_x, my + shift_y, variance_x, variance_y, mxy - mx * my)

    def concordance(self) -> Values:
        """Return Lin's concordance correlation coefficient (Lin 1989, population moments); NaN where nothing varies."""
        below = self.true_variance + self.found_variance + (self.true_mean - self.found_mean) ** 2
        varies = self.true_variance + self.found_variance > 0
        return quotient(2 * self.covariance, np.where(varies, below, 0.0))

    def bias(self) -> Values:
        """Return the mean of found minus true (Bland and Altman 1986)."""
        return self.found_mean - self.true_mean

    def limits_of_agreement(self) -> tuple[Values, Values]:
        """Return bias minus and plus 1.96 standard deviations (n - 1) of the differences; NaN under two pairs."""
        spread = np.maximum(self.true_variance + self.found_variance - 2 * self.covariance, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            deviation = np.where(self.count > 1, np.sqrt(spread * self.count / (self.count - 1)), np.nan)
        return self.bias() - _LIMIT * deviation, self.bias() + _LIMIT * deviation


class Equivalence(BaseModel):
    """Two one-sided t tests of the mean difference against plus and minus ``margin_percent``.

    The difference of a pair is in percent of the pair's mean, averaged over the scans of a patient. ``low`` and
    ``high`` are its 90 % interval over patients, ``p`` the larger of the two one-sided probabilities.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin_percent: float
    patients: int
    mean_percent: float
    low: float
    high: float
    p: float
    equivalent: bool


def equivalence(
    true: Sequence[float], found: Sequence[float], patients: Sequence[int], margin_percent: float = 20.0
) -> Equivalence | None:
    """Test volumes for equivalence; ``None`` under two patients with a volume, or where no patient differs.

    Example:
        >>> equivalence([10.0, 20.0, 30.0], [10.1, 19.8, 30.3], [0, 1, 2]).equivalent
        True
    """
    x, y = np.asarray(true, dtype=np.float64), np.asarray(found, dtype=np.float64)
    known = x + y > 0
    percent, owner = 200.0 * (y - x)[known] / (x + y)[known], np.asarray(patients, dtype=np.intp)[known]
    means = np.array([percent[owner == one].mean() for one in np.unique(owner)])
    if means.size < 2 or means.std() == 0.0:
        return None
    middle, error, freedom = float(means.mean()), float(means.std(ddof=1) / math.sqrt(means.size)), means.size - 1
    reach = float(student.ppf(0.95, freedom)) * error
    p = max(
        float(student.sf((middle + margin_percent) / error, freedom)),
        float(student.sf((margin_percent - middle) / error, freedom)),
    )
    return Equivalence(
        margin_percent=margin_percent,
        patients=int(means.size),
        mean_percent=middle,
        low=middle - reach,
        high=middle + reach,
        p=p,
        equivalent=p < 0.05,
    )


def confusion(true: Sequence[str], found: Sequence[str], order: Sequence[str]) -> NDArray[np.float64]:
    """Return the counts (true, found) of pairs of classes in the given order.

    Raises:
        ValueError: A class is not in the order.
    """
    place = {name: at for at, name in enumerate(order)}
    strange = sorted({*true, *found} - place.keys())
    if strange:
        raise ValueError(f"classes without a place in the order: {', '.join(strange)}")
    table = np.zeros((len(order), len(order)))
    for one, other in zip(true, found, strict=True):
        table[place[one], place[other]] += 1
    return table


def weighted_kappa(tables: NDArray[np.float64]) -> Values:
    """Return Cohen's kappa with linear weights of confusion tables (..., classes, classes).

    NaN where chance alone already agrees, that is where both sides hold one and the same class. The result is that of
    ``sklearn.metrics.cohen_kappa_score(weights="linear")``, for many tables at once.

    Example:
        >>> float(weighted_kappa(np.array([[20.0, 5.0], [10.0, 15.0]])).round(3))
        0.4
    """
    total = tables.sum(axis=(-2, -1))
    steps = np.arange(tables.shape[-1])
    cost = np.abs(steps[:, None] - steps[None, :])
    expected = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :]
    observed_cost, chance_cost = (tables * cost).sum(axis=(-2, -1)), (expected * cost).sum(axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = 1.0 - observed_cost * total / chance_cost
    return np.asarray(np.where(chance_cost > 0, kappa, np.nan))
