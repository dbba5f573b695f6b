"""Updates: what a site trained minus what it was sent; their lengths, and the way back to weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from fedpsma.model.checkpoint import Weights

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by parameter name, float64 where they are updates."""

# Of two, nobody can say which one is out of line.
LEAST_COMPARED = 3


class StoredUpdate(Mapping[str, NDArray[np.float64]]):
    """An update whose arrays lie on disk until they are asked for, so that many sites need the memory of one.

    ``length`` is its Euclidean length. The difference of two float32 numbers is taken in float64, where it is exact in
    all but extreme cases.
    """

    def __init__(self, path: Path, sent: Arrays, trained: Weights) -> None:
        """Write what was trained; arrays that nobody changed take no room."""
        self._path, self._sent = path, sent
        moved = {name: array for name, array in trained.items() if not np.array_equal(array, sent[name])}
        self._moved = frozenset(moved)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in moved.items()}))
        self.length = length({name: array.astype(np.float64) - sent[name] for name, array in moved.items()})

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self._moved:
            return np.zeros(self._sent[name].shape)
        with safe_open(self._path, "numpy") as stored:
            trained: NDArray[np.float64] = stored.get_tensor(name).astype(np.float64)
        return trained - self._sent[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sent)

    def __len__(self) -> int:
        return len(self._sent)


def stepped(weights: Weights, step: Arrays) -> Weights:
    """Return weights after a step, in their own type; what no site trained stays bit for bit.

    A step that is too long for that type makes infinite weights.
    """
    with np.errstate(over="ignore", invalid="ignore"):
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


def overlong(lengths: Mapping[str, float], limit: float) -> frozenset[str]:
    """Return the sites whose update is more than ``limit`` times as long as the median of the others.

    Others that changed nothing at all, as a site that drew nobody, do not count, so that they can neither make an
    update overlong nor hide one that is. Where all the others changed nothing there is nothing to compare with, and
    the update passes, however long it is.

    Example:
        >>> sorted(overlong({"A": 1.0, "B": 1.2, "C": 30.0}, limit=5.0))
        ['C']
    """
    if len(lengths) < LEAST_COMPARED:
        return frozenset()
    found = set()
    for site, own in lengths.items():
        others = [other for name, other in lengths.items() if name != site and other > 0]
        if others and own > limit * median(others):
            found.add(site)
    return frozenset(found)
