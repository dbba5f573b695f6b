"""Updates: what a site trained minus what it was sent; their lengths, and the way back to weights."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpsma.model.checkpoint import Weights

Arrays = dict[str, NDArray[Any]]
"""Arrays by parameter name, float64 where they are updates."""

# Of two, nobody can say which one is out of line.
LEAST_COMPARED = 3


def changes(sent: Weights, trained: Weights) -> Arrays:
    """Return an update, float64: the difference of two float32 numbers is exact there in all but extreme cases."""
    return {name: trained[name].astype(np.float64) - sent[name] for name in sent}


def stepped(weights: Weights, step: Arrays) -> Weights:
    """Return weights after a step, in their own type; what no site trained stays bit for bit."""
    return {
        name: np.where(step[name] == 0, array, array + step[name]).astype(array.dtype)
        for name, array in weights.items()
    }


def length(update: Arrays) -> float:
    """Return the Euclidean length of an update over all arrays.

    Example:
        >>> length({"a": np.array([3.0]), "b": np.array([0.0, 4.0])})
        5.0
    """
    return float(np.sqrt(sum(float(np.vdot(array, array)) for array in update.values())))


def overlong(updates: Mapping[str, Arrays], limit: float) -> frozenset[str]:
    """Return the sites whose update is more than ``limit`` times as long as the median of the others.

    Sites that trained nothing at all do not make the others overlong.
    """
    if len(updates) < LEAST_COMPARED:
        return frozenset()
    lengths = {site: length(update) for site, update in updates.items()}
    found = set()
    for site, own in lengths.items():
        usual = median(other for name, other in lengths.items() if name != site)
        if own > limit * usual > 0:
            found.add(site)
    return frozenset(found)
