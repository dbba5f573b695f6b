"""Catchments of the maxima of a landscape, with those that hardly stand out joined to their neighbour.

The result is that of h-maxima (morphological reconstruction) and a watershed, at a fraction of the time: all maxima are
flooded first, and basins are then joined over their saddles, the highest saddle first.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from fedpsma.lesions.geometry import Mask

_AHEAD = [step for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]


def basins(height: NDArray[np.float64], island: Mask, drop: float) -> NDArray[np.int32]:
    """Part an island into the catchments of its maxima, numbered from 1 (0 lies outside the island).

    Args:
        height: The landscape (x, y, z).
        island: Where it counts; voxels that touch by a corner are neighbours.
        drop: How far below a maximum the saddle to any higher one has to lie, else the two are one.
    """
    lowest = float(height[island].min()) - 1.0 if island.any() else 0.0
    terrain = np.where(island, height, lowest)
    # a rim of lower ground, so that a plateau over the whole box is a maximum as well
    maxima = local_maxima(np.pad(terrain, 1, constant_values=lowest))[1:-1, 1:-1, 1:-1]
    tops, count = ndimage.label(maxima & island, structure=np.ones((3, 3, 3)))
    flooded = np.asarray(watershed(-terrain, tops, mask=island, connectivity=3), dtype=np.int32)
    if count < 2:
        return flooded
    peaks = np.concatenate([[lowest], ndimage.maximum(terrain, flooded, np.arange(1, count + 1))])
    first, second, saddles = _saddles(terrain, flooded, count)
    joined = _join(peaks, np.column_stack([first, second]), saddles, drop)
    _, renumbered = np.unique(joined, return_inverse=True)
    return np.asarray(renumbered[flooded], dtype=np.int32)


def _saddles(
    terrain: NDArray[np.float64], flooded: NDArray[np.int32], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return each pair of touching basins with the height of the saddle between them."""
    pairs, heights = [], []
    for step in _AHEAD:
        here, there = _shifted(step)
        one, other = flooded[here], flooded[there]
        border = (one != other) & (one > 0) & (other > 0)
        low, high = np.minimum(one[border], other[border]), np.maximum(one[border], other[border])
        pairs.append(low.astype(np.int64) * (count + 1) + high)
        heights.append(np.minimum(terrain[here][border], terrain[there][border]))
    unique, inverse = np.unique(np.concatenate(pairs), return_inverse=True)
    saddles = np.full(len(unique), -np.inf)
    np.maximum.at(saddles, inverse, np.concatenate(heights))
    return unique // (count + 1), unique % (count + 1), saddles


def _shifted(step: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the two views of a volume whose voxels lie one step apart."""
    here = tuple(slice(max(-one, 0), -one if one > 0 else None) for one in step)
    there = tuple(slice(max(one, 0), one if one < 0 else None) for one in step)
    return here, there


def _join(
    peaks: NDArray[np.float64], pairs: NDArray[np.intp], saddles: NDArray[np.float64], drop: float
) -> NDArray[np.intp]:
    """Return for each basin the one it is joined to (itself where it stands alone)."""
    # two forests: what hangs together above the current level, and what is one basin in the end
    above, basin = list(range(len(peaks))), list(range(len(peaks)))
    for index in np.argsort(-saddles, kind="stable"):
        one, other = (int(number) for number in pairs[index])
        high, low = _root(above, one), _root(above, other)
        if high == low:
            continue
        if peaks[high] < peaks[low]:
            one, other, high, low = other, one, low, high
        if peaks[low] - saddles[index] < drop:
            basin[_root(basin, other)] = _root(basin, one)
        above[low] = high
    return np.array([_root(basin, number) for number in range(len(peaks))])


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number
