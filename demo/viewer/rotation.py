"""Rotating maximum intensity projections, each pixel as the voxel that it shows.

What is sent is not a picture but, for each angle, level and column, the number of the hottest voxel along the ray. The
browser looks its value up in the PET, so that the projection is as exact as the slices, follows the same window, and a
click on it is a point in the body at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP_DEGREES = 10
"""Angle between two projections: 36 a turn. Those of the second half are mirror images of the first."""

# Air shows nothing, and numbers of its hottest voxel are noise that does not compress (0.1 SUV in steps of 0.01).
_AIR = 10
_BITS = 16
_NUMBER = np.uint32((1 << _BITS) - 1)


@dataclass(frozen=True)
class Rotation:
    """``maps`` (angle, z, column) holds in-plane voxel numbers ``x + nx * y``; columns are ``edge_mm`` wide.

    Column u of angle a lies at ``x cos a + y sin a`` from the middle of the image, x to the patient's left, y to
    anterior: at 0 degrees the patient faces the reader, at 90 degrees his right side does. 0 stands for air.
    """

    maps: NDArray[np.uint16]
    edge_mm: float


def rotation_maps(
    pet: NDArray[np.uint16], edges_mm: tuple[float, float], crop: tuple[tuple[int, int], tuple[int, int]]
) -> Rotation:
    """Project a volume at every angle of half a turn.

    Every voxel falls into one column at every angle, so that no maximum is ever lost between two rays.

    Args:
        pet: LAS (x, y, z), at most 256 voxels along x and y.
        edges_mm: Voxel edges along x and y.
        crop: First and last voxel (exclusive) along x and y that are looked at.
    """
    nx, ny, nz = pet.shape
    x, y = np.meshgrid(np.arange(*crop[0]), np.arange(*crop[1]), indexing="ij")
    lines = pet[crop[0][0] : crop[0][1], crop[1][0] : crop[1][1]].reshape(-1, nz)
    warm = np.flatnonzero(lines.max(axis=1) >= _AIR)
    number = (x + nx * y).ravel()[warm].astype(np.uint32)
    keys = (lines[warm].astype(np.uint32) << _BITS) | number[:, None]
    at_mm = ((x.ravel()[warm] - (nx - 1) / 2) * edges_mm[0], (y.ravel()[warm] - (ny - 1) / 2) * edges_mm[1])
    edge = min(edges_mm)
    reach = float(np.hypot(*at_mm).max()) / edge if warm.size else 0.0
    # As many columns as the image has, or an even number more: no voxel then lies between two columns at 0 degrees.
    columns = nx + 2 * int(np.ceil(reach + 1 - nx / 2))
    maps = np.zeros((180 // STEP_DEGREES, nz, columns), np.uint16)
    for number_of, angle in enumerate(np.deg2rad(np.arange(0, 180, STEP_DEGREES))):
        across = (at_mm[0] * np.cos(angle) + at_mm[1] * np.sin(angle)) / edge + columns / 2
        _project(keys, np.floor(across + 1e-9).astype(np.intp), maps[number_of])
    return Rotation(maps, edge)


def _project(keys: NDArray[np.uint32], column: NDArray[np.intp], out: NDArray[np.uint16]) -> None:
    """Write the number of the hottest voxel of each column (z, column); the keys hold value and number."""
    if not column.size:
        return
    order = np.argsort(column, kind="stable")
    seen, first = np.unique(column[order], return_index=True)
    hottest = np.maximum.reduceat(keys[order], first, axis=0)
    hottest[hottest >> _BITS < _AIR] = 0
    out[:, seen] = (hottest & _NUMBER).T
