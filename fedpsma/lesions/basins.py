"""Catchments of the maxima of a landscape, with those that hardly stand out joined to their neighbour.

The result is that of h-maxima of the logarithm (morphological reconstruction) and a watershed from their tops, at a
fraction of the time. Nothing is flooded voxel by voxel: every voxel points to its highest neighbour, so that all maxima
and their catchments follow from a few passes over whole arrays; catchments are joined over their saddles, the highest
saddle first; and the foot of a joined hill is given out once more, since a flood from the remaining tops reaches the
hill late, over its saddle. Only voxels of the island are held, as a list, so that time follows their number and not the
size of the volume.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

from fedpsma.lesions.geometry import Mask

_Ranks = NDArray[np.int32]
_Heights = NDArray[np.float64]
_Places = NDArray[np.int32]


@dataclass(frozen=True)
class Basins:
    """An island in catchments, numbered from 1 in the order of their tops in the volume.

    ``labels`` (x, y, z) is 0 outside the island. ``tops`` and ``saddles`` (one value a catchment) are the height of its
    maximum and of the highest way from there to a higher one; NaN where no way leads to a higher one.
    """

    labels: NDArray[np.int32]
    tops: _Heights
    saddles: _Heights

    def prominence(self, number: int) -> float | None:
        """Return by which fraction of its top a catchment's saddle lies below it; ``None`` where it has no saddle."""
        top, saddle = self.tops[number - 1], self.saddles[number - 1]
        return None if np.isnan(saddle) else float(1.0 - saddle / top)


def basins(height: NDArray[np.floating], island: Mask, drop: float) -> Basins:
    """Part an island into the catchments of its maxima.

    Voxels that touch by a corner are neighbours. Of voxels of equal height the later one in the volume counts as the
    higher, so that a plateau has one top.

    Args:
        height: The landscape (x, y, z), above zero on the island.
        island: Where it counts.
        drop: By which fraction of its height the saddle to any higher maximum has to lie below a maximum, else the two
            are one; ``-log(1 - drop)`` is the h of h-maxima of the logarithm.

    Example:
        >>> ridge = np.array([1.0, 5, 2, 4, 1]).reshape(5, 1, 1)
        >>> found = basins(ridge, ridge > 0, drop=0.4)
        >>> found.labels.ravel().tolist(), found.tops.tolist(), found.saddles.tolist()
        ([1, 1, 1, 2, 2], [5.0, 4.0], [nan, 2.0])
        >>> basins(ridge, ridge > 0, drop=0.6).labels.ravel().tolist()
        [1, 1, 1, 1, 1]
    """
    land = _Land(island)
    order = np.argsort(level := height[island], kind="stable").astype(np.int32)
    rank, ascending = _inverse(order), level[order].astype(np.float64)
    hill, tops = _hills(_summits(land.uphill(rank, order)))
    joined = _join(_spanning_tree(land, rank, hill, tops.size), rank[tops], ascending, drop)
    flooded = np.minimum(rank, joined.flooded_at[hill])
    again = np.argsort(flooded.astype(np.int64) * rank.size + rank).astype(np.int32)
    uphill, late = land.uphill(_inverse(again), again), joined.flooded_at < rank.size
    uphill[tops[late]] = order[joined.flooded_at[late]]
    basin = np.searchsorted(tops[~late], _summits(uphill)) + 1
    return Basins(land.spread(basin)[1:-1, 1:-1, 1:-1], ascending[rank[tops[~late]]], joined.saddles[~late])


class _Land:
    """The voxels of an island as a list in the order of the volume, which has a rim of one voxel around it here."""

    def __init__(self, island: Mask) -> None:
        rimmed = np.pad(island, 1)
        self.shape = rimmed.shape
        self.voxels = np.flatnonzero(rimmed)
        steps = np.array([step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)])
        self.ahead = [int(step) for step in steps @ (self.shape[1] * self.shape[2], self.shape[2], 1)]

    def spread(self, values: NDArray[np.integer], outside: int = 0) -> NDArray[np.int32]:
        """Return the rimmed volume with a value at each voxel of the list."""
        volume = np.full(self.shape, outside, dtype=np.int32)
        volume.ravel()[self.voxels] = values
        return volume

    def uphill(self, rank: _Ranks, order: _Ranks) -> _Places:
        """Return for each voxel the highest of itself and its neighbours, as places in the list.

        ``order`` lists the voxels from the lowest to the highest, ``rank`` is its inverse.
        """
        ranks = self.spread(rank, outside=-1).ravel()
        highest = rank.copy()
        for step in self.ahead:
            np.maximum(highest, ranks[self.voxels + step], out=highest)
            np.maximum(highest, ranks[self.voxels - step], out=highest)
        return order[highest]

    def passes(self, rank: _Ranks, hill: NDArray[np.int32]) -> Iterator[tuple[NDArray[np.int64], _Ranks]]:
        """Yield, for each direction, every pair of touching hills once, with the rank of the highest saddle.

        A pair is one number: the lower number of the two, times the count of voxels, plus the higher one.
        """
        hills, ranks = self.spread(hill, outside=-1).ravel(), self.spread(rank).ravel()
        for step in self.ahead:
            there = hills[self.voxels + step]
            at = np.flatnonzero((there != hill) & (there >= 0))
            one, other = hill[at], there[at]
            pairs = np.minimum(one, other).astype(np.int64) * rank.size + np.maximum(one, other)
            yield _highest(pairs, np.minimum(rank[at], ranks[self.voxels[at] + step]))


def _inverse(order: _Ranks) -> _Ranks:
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size, dtype=np.int32)
    return rank


def _summits(uphill: _Places) -> _Places:
    """Follow each voxel's way uphill to where it ends."""
    while not np.array_equal(uphill, further := uphill[uphill]):
        uphill = further
    return uphill


def _hills(summits: _Places) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Number the hills from 0 by their summit; return each voxel's hill and each hill's top."""
    tops = np.flatnonzero(summits == np.arange(summits.size))
    number = np.zeros(summits.size, dtype=np.int32)
    number[tops] = np.arange(tops.size)
    return number[summits], tops


def _highest(pairs: NDArray[np.int64], saddles: _Ranks) -> tuple[NDArray[np.int64], _Ranks]:
    """Return each pair once, with its highest saddle."""
    order = np.argsort(pairs)
    pairs = pairs[order]
    first = np.flatnonzero(np.diff(pairs, prepend=-1))
    return pairs[first], np.maximum.reduceat(saddles[order], first) if first.size else saddles


def _spanning_tree(land: _Land, rank: _Ranks, hill: NDArray[np.int32], count: int) -> list[tuple[int, int, int]]:
    """Return the passes that no higher way goes round, the highest first, as (hill, hill, rank of the saddle)."""
    found = list(land.passes(rank, hill))
    pairs, saddles = _highest(np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found]))
    # weights above zero, since zero means "no edge" there
    weights = rank.size - saddles.astype(np.float64)
    graph = coo_array((weights, np.divmod(pairs, max(rank.size, 1))), shape=(count, count))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    falling = np.argsort(tree.data, kind="stable")
    columns = (tree.row[falling], tree.col[falling], rank.size - tree.data[falling].astype(np.int64))
    return list(zip(*(column.tolist() for column in columns), strict=True))


@dataclass(frozen=True)
class _Joined:
    """For each hill the height of its saddle, and the rank at which a flood from the tops that stay comes in.

    ``flooded_at`` of a hill whose top stays lies above all ranks.
    """

    saddles: _Heights
    flooded_at: _Ranks


def _join(tree: list[tuple[int, int, int]], tops: _Ranks, ascending: _Heights, drop: float) -> _Joined:
    """Join hills over their saddles; ``tops`` are ranks, ``ascending`` has the height of each rank."""
    # two forests: what hangs together above the current level, and what is one basin in the end
    above, basin = list(range(tops.size)), list(range(tops.size))
    saddles = np.full(tops.size, np.nan)
    joins = []
    for one, other, at in tree:
        high, low = _root(above, one), _root(above, other)
        if tops[high] < tops[low]:
            one, high, low = other, low, high
        above[low], saddles[low] = high, ascending[at]
        if ascending[at] > (1.0 - drop) * ascending[tops[low]]:
            basin[low] = _root(basin, one)
            joins.append((low, basin[low], at))
    flooded_at = np.full(tops.size, ascending.size, dtype=np.int32)
    for low, target, at in reversed(joins):
        flooded_at[low] = min(at, flooded_at[target])
    return _Joined(saddles, flooded_at)


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number
