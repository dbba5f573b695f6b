"""The same scan twice: exactly, or cut, resampled or rescaled.

Exact copies share a hash of the voxels in working orientation, whatever the file's axis order or compression. Other
copies are found by a fingerprint: how the uptake in four quadrants around the body's axis runs along the body. The
middle of each fingerprint is looked for in every other one, so a cut copy is found where it holds that middle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import FloatVolume
from fedpsma.site_check.coarse import CoarseGrid

STEP_MM = 4.0
_SLAB = 2
_WINDOW = 80
_RADIUS_MM = 170.0
_CHUNK = 256


@dataclass(frozen=True)
class SimilarPair:
    """Two studies by their place in the list, and the correlation (up to 1) of their fingerprints."""

    first: int
    second: int
    correlation: float


def digest(volume: NDArray[Any]) -> str:
    """Return the hash of a volume's shape and values.

    Example:
        >>> digest(np.zeros((2, 1, 1), np.float32)) == digest(np.zeros((1, 2, 1), np.float32))
        False
    """
    hashed = hashlib.sha256(repr((volume.shape, volume.dtype.str)).encode())
    hashed.update(np.ascontiguousarray(volume).data)
    return hashed.hexdigest()


def fingerprint(pet: FloatVolume, grid: CoarseGrid) -> NDArray[np.float32]:
    """Return the logarithm of the mean uptake in four quadrants (n, 4) every 4 mm along z; empty for a cold volume.

    The quadrants meet in the middle of the body's uptake. A constant factor on the PET adds a constant.
    """
    total = float(pet.sum(dtype=np.float64))
    if total <= 0.0 or pet.shape[2] < 2:
        return np.empty((0, 4), np.float32)
    warm = pet > 0.5 * float(pet[pet > 0].mean())
    x, y = (_positions(warm, axis, grid) for axis in (0, 1))
    near = np.hypot(x[:, None], y[None, :]) < _RADIUS_MM
    quadrants = [near & right & front for right in (x[:, None] < 0, x[:, None] >= 0) for front in (y < 0, y >= 0)]
    profile = np.stack([pet[quadrant].mean(axis=0, dtype=np.float64) for quadrant in quadrants], axis=1)
    logs = np.log(np.maximum(profile, 1e-3 * profile.max()))
    place = np.arange(len(logs)) * grid.spacing_mm[2]
    wanted = np.arange(0.0, place[-1], STEP_MM)
    return np.stack([np.interp(wanted, place, logs[:, one]) for one in range(4)], axis=1).astype(np.float32)


def _positions(warm: NDArray[np.bool_], axis: int, grid: CoarseGrid) -> NDArray[np.float64]:
    """Return the distance of every index along an axis from the middle of the warm voxels, in mm."""
    others = tuple(one for one in range(3) if one != axis)
    along = warm.sum(axis=others)
    place = np.arange(len(along)) * grid.spacing_mm[axis]
    middle = float(along @ place / along.sum()) if along.any() else float(place.mean())
    return np.asarray(place - middle)


def similar_pairs(fingerprints: Sequence[NDArray[np.float32]], least: float) -> list[SimilarPair]:
    """Return every pair whose fingerprints correlate by at least ``least`` somewhere along the body.

    A study shorter than the window of 32 cm takes part in no pair.
    """
    long = [number for number, one in enumerate(fingerprints) if len(one) > _WINDOW + _SLAB]
    windows = [_windows(fingerprints[number]) for number in long]
    if len(windows) < 2:
        return []
    middles = np.stack([one[len(one) // 2] for one in windows])
    best = np.zeros((len(long), len(long)), np.float32)
    for column, one in enumerate(windows):
        for start in range(0, len(middles), _CHUNK):
            best[start : start + _CHUNK, column] = (middles[start : start + _CHUNK] @ one.T).max(axis=1)
    either = np.maximum(best, best.T)
    pairs = np.argwhere(np.triu(either >= least, k=1))
    return [SimilarPair(long[i], long[j], float(either[i, j])) for i, j in pairs]


def _windows(profile: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the change along z in every window of 32 cm (n, features), each with mean 0 and length 1."""
    change = profile[_SLAB:] - profile[:-_SLAB]
    cut = np.lib.stride_tricks.sliding_window_view(change, _WINDOW, axis=0)[:, :, ::_SLAB]
    flat = cut.reshape(len(cut), -1).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, 1e-6), dtype=np.float32)
