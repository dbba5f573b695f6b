"""Catchments of the maxima of a landscape, with those that hardly stand out joined to their neighbour.

The result is that of h-maxima of the logarithm (morphological reconstruction) and a watershed from their domes, voxel
for voxel, at a fraction of the time. Nothing is flooded voxel by voxel: every voxel points to its highest neighbour, so
that all maxima and their catchments follow from a few passes over whole arrays; catchments are joined over their
saddles, the highest saddle first; and the foot of a joined hill is given out once more, since a flood reaches the hill
late, over its saddle. Only voxels of the island are held, as a list, so that time follows their number and not the size
of the volume.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

from fedpsma.lesions.geometry import Mask

_Ranks = NDArray[np.int32]
_Heights = NDArray[np.float64]
_Places = NDArray[np.int32]
_Pairs = NDArray[np.int64]


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
    land, ranking = _Land(island), _Ranking.of(height[island])
    uphill = land.uphill(ranking)
    summits = _followed(uphill)
    tops = np.flatnonzero(summits == np.arange(summits.size))
    hills = np.searchsorted(tops, summits).astype(np.int32)
    joined = _join(_spanning_tree(land, ranking, hills, tops.size), ranking.rank[tops], ranking.heights, drop)
    # A flood reaches a joined hill late, over a saddle: its foot falls to whoever comes first, its top to that saddle.
    late = joined.flooded_at < ranking.rank.size
    uphill = land.uphill(ranking.below(joined.flooded_at[hills]))
    uphill[tops] = tops[joined.into]
    uphill[tops[late]] = ranking.order[joined.flooded_at[late]]
    kept = np.flatnonzero(joined.into == np.arange(tops.size))
    labels = np.searchsorted(tops[kept], _followed(uphill)) + 1
    heights = ranking.heights[ranking.rank[tops[kept]]]
    return Basins(land.volume(labels)[1:-1, 1:-1, 1:-1], heights, joined.saddles[kept])


@dataclass(frozen=True)
class _Ranking:
    """``order`` lists the voxels from the lowest to the highest with their ``heights``; ``rank`` is its inverse."""

    order: _Places
    heights: _Heights
    rank: _Ranks

    @classmethod
    def of(cls, height: NDArray[Any]) -> _Ranking:
        """Rank voxels by height; of equal ones the later is the higher."""
        order = np.argsort(height, kind="stable").astype(np.int32)
        rank = np.empty_like(order)
        rank[order] = np.arange(order.size, dtype=np.int32)
        return cls(order, height[order].astype(np.float64), rank)

    def below(self, ceiling: _Ranks) -> _Ranking:
        """Rank voxels anew, each as if not above its ceiling (a rank); equals stay in their order."""
        return _Ranking.of(np.minimum(self.rank, ceiling) * np.int64(self.rank.size) + self.rank)


class _Land:
    """The voxels of an island as a list, in the order of the volume; the volume has a rim of one voxel here."""

    def __init__(self, island: Mask) -> None:
        rimmed = np.pad(island, 1)
        self.shape = rimmed.shape
        self.voxels = np.flatnonzero(rimmed)
        steps = np.array([step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)])
        self.ahead = [int(step) for step in steps @ (self.shape[1] * self.shape[2], self.shape[2], 1)]

    def volume(self, values: NDArray[np.integer], outside: int = 0) -> NDArray[np.int32]:
        """Return the rimmed volume with the values of the list in their places."""
        volume = np.full(self.shape, outside, dtype=np.int32)
        volume.ravel()[self.voxels] = values
        return volume

    def uphill(self, ranking: _Ranking) -> _Places:
        """Return for each voxel the place (in the list) of the highest among it and its neighbours."""
        ranks = self.volume(ranking.rank, outside=-1).ravel()
        highest = ranking.rank.copy()
        for step in self.ahead:
            np.maximum(highest, ranks[self.voxels + step], out=highest)
            np.maximum(highest, ranks[self.voxels - step], out=highest)
        return ranking.order[highest]

    def passes(self, ranking: _Ranking, hills: NDArray[np.int32]) -> Iterator[tuple[_Pairs, _Ranks]]:
        """Yield for each direction every pair of hills that touch, once, with the rank of the highest saddle there.

        A pair is one number: the lower hill's number times the count of voxels, plus the higher one's.
        """
        hill_at, rank_at = self.volume(hills, outside=-1).ravel(), self.volume(ranking.rank).ravel()
        for step in self.ahead:
            beyond = hill_at[self.voxels + step]
            border = np.flatnonzero((beyond != hills) & (beyond >= 0))
            one, other = hills[border], beyond[border]
            pairs = np.minimum(one, other).astype(np.int64) * hills.size + np.maximum(one, other)
            saddles = np.minimum(ranking.rank[border], rank_at[self.voxels[border] + step])
            yield _highest(pairs, saddles)


def _followed(uphill: _Places) -> _Places:
    """Return where each voxel's way uphill ends."""
    while not np.array_equal(uphill, further := uphill[uphill]):
        uphill = further
    return uphill


def _highest(pairs: _Pairs, saddles: _Ranks) -> tuple[_Pairs, _Ranks]:
    """Return each pair once, with its highest saddle."""
    order = np.argsort(pairs)
    pairs = pairs[order]
    first = np.flatnonzero(np.diff(pairs, prepend=-1))
    return pairs[first], np.maximum.reduceat(saddles[order], first) if first.size else saddles


def _spanning_tree(land: _Land, ranking: _Ranking, hills: NDArray[np.int32], count: int) -> list[tuple[int, int, int]]:
    """Return the passes that no higher way goes round, the highest first, as (hill, hill, rank of the saddle)."""
    found = list(land.passes(ranking, hills))
    pairs, saddles = _highest(np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found]))
    # weights above zero, since zero means "no edge" there
    weights = hills.size - saddles.astype(np.float64)
    graph = coo_array((weights, np.divmod(pairs, max(hills.size, 1))), shape=(count, count))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    falling = np.argsort(tree.data, kind="stable")
    columns = (tree.row[falling], tree.col[falling], hills.size - tree.data[falling].astype(np.int64))
    return list(zip(*(column.tolist() for column in columns), strict=True))


@dataclass(frozen=True)
class _Joined:
    """For each hill the one it ends up in (itself where it stays), its saddle's height and when a flood reaches it.

    ``flooded_at`` is the rank of the saddle over which the flood from the domes that stay comes in; it lies above all
    ranks for a hill that stays or is part of such a dome.
    """

    into: _Places
    saddles: _Heights
    flooded_at: _Ranks


def _join(tree: list[tuple[int, int, int]], tops: _Ranks, heights: _Heights, drop: float) -> _Joined:
    """Join hills over their saddles; ``tops`` are ranks, ``heights`` has the height of each rank."""
    # two forests: what hangs together above the current level, and what is one basin in the end
    above, basin = list(range(tops.size)), list(range(tops.size))
    saddles = np.full(tops.size, np.nan)
    joins = []
    for one, other, at in tree:
        high, low = _root(above, one), _root(above, other)
        if tops[high] < tops[low]:
            one, high, low = other, low, high
        above[low], saddles[low] = high, heights[at]
        if heights[at] > (1.0 - drop) * heights[tops[low]]:
            basin[low] = _root(basin, one)
            joins.append((low, basin[low], at))
    into, flooded_at = np.arange(tops.size, dtype=np.int32), np.full(tops.size, heights.size, dtype=np.int32)
    for low, target, at in reversed(joins):
        into[low], flooded_at[low] = into[target], min(at, flooded_at[target])
    flooded_to = heights.take(flooded_at, mode="clip")
    flooded_at[flooded_to > (1.0 - drop) * heights[tops[into]]] = heights.size
    return _Joined(into, saddles, flooded_at)


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number
