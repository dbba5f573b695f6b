"""Updates as integers modulo 2^32, so that masks hide them perfectly and their sum is exact.

A ring element takes the four bytes of a float32, so an update grows by its weight alone. Each site rounds every
coordinate once, by at most half a step, and the sum of ``n`` sites is therefore wrong by at most
``n**2 / 2**32`` of the largest coordinate: below 1e-6 of it up to :data:`MOST_SITES` sites.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.errors import InputError

MOST_SITES = 64
_LARGEST = 2**31 - 1
Ring = NDArray[np.uint32]


@dataclass(frozen=True)
class FixedPoint:
    """The code of a sum over at most ``sites`` updates within bounds: Euclidean length, and one coordinate.

    A weight of at most one multiplies the update and travels as its last coordinate. No sum that keeps to these bounds
    wraps around: a coordinate is at most ``largest``, and what rounding adds, half a step a site, is set aside.

    Example:
        >>> code = FixedPoint(sites=3, norm=1.0, largest=0.5)
        >>> total = code.encode(np.array([0.5, -0.25]), 1.0) + code.encode(np.array([0.25, 0.0]), 0.5)
        >>> mean, weight = code.decode(total)
        >>> mean.round(6).tolist(), round(weight, 6)
        ([0.416667, -0.166667], 1.5)
    """

    sites: int
    norm: float
    largest: float

    def __post_init__(self) -> None:
        if not 1 <= self.sites <= MOST_SITES:
            raise InputError(
                f"{self.sites} sites, at most {MOST_SITES} can be summed to one millionth",
                where="secure_aggregation",
                remedy="ask fewer sites a round",
            )

    @property
    def scale(self) -> float:
        """Ring steps in one unit of an update."""
        return (_LARGEST - self.sites) / (self.sites * self.largest)

    @property
    def weight_scale(self) -> int:
        """Ring steps in a weight of one; whole, so that equal weights are exact."""
        return (_LARGEST - self.sites) // self.sites

    @property
    def largest_error(self) -> float:
        """The most that a coordinate of the sum of all sites can be wrong by."""
        return self.sites * 0.5 / self.scale

    def encode(self, update: NDArray[np.float64], weight: float) -> Ring:
        """Return the weighted update, brought within the bounds, and its weight at the end.

        Args:
            update: Change of all weights as one vector, float64.
            weight: How much the site counts, above zero and at most one.

        Raises:
            ValueError: A coordinate is not finite, or the weight is out of its range.
        """
        if not 0 < weight <= 1:
            raise ValueError("the weight is not in (0, 1]")
        length = float(np.linalg.norm(update))
        if not np.isfinite(length):
            raise ValueError("the update is not finite")
        shortened = update * min(1.0, self.norm / length if length else 1.0)
        np.clip(shortened, -self.largest, self.largest, out=shortened)
        steps = np.empty(len(update) + 1, np.int64)
        np.rint(shortened * (self.scale * weight), out=steps[:-1], casting="unsafe")
        steps[-1] = max(1, round(weight * self.weight_scale))
        return steps.astype(np.uint32)

    def decode(self, total: Ring) -> tuple[NDArray[np.float64], float]:
        """Return the weighted mean of the updates in a sum, and the sum of their weights.

        Raises:
            ValueError: The sum cannot come from updates within the bounds: somebody did not keep to them.
        """
        signed = total.view(np.int32)
        weight = float(signed[-1]) / self.weight_scale
        if not 0 < weight <= self.sites:
            raise ValueError("the weights in the sum are out of range")
        mean = signed[:-1] / (self.scale * weight)
        rounding = self.largest_error / weight * len(mean) ** 0.5
        if float(np.linalg.norm(mean)) > self.norm * (1 + 1e-6) + rounding:
            raise ValueError("the sum is longer than the norm bound allows")
        return mean, weight
