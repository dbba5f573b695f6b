"""A regular voxel grid in the working orientation, and sampling between two such grids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import Affine

Axis = NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """Voxels (x, y, z) in RAS+ order without rotation; ``origin_mm`` is the centre of voxel (0, 0, 0)."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]

    @property
    def axes(self) -> tuple[Axis, Axis, Axis]:
        """Voxel centres in mm along x, y and z."""
        x, y, z = (
            np.float32(start) + np.float32(step) * np.arange(count, dtype=np.float32)
            for count, step, start in zip(self.shape, self.spacing_mm, self.origin_mm, strict=True)
        )
        return x, y, z

    @property
    def affine(self) -> Affine:
        """Voxel indices to millimetres."""
        affine = np.diag([*self.spacing_mm, 1.0])
        affine[:3, 3] = self.origin_mm
        return affine

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def with_spacing(self, spacing_mm: tuple[float, float, float]) -> Grid:
        """Return the grid of another spacing that covers the same box, up to a part of a voxel.

        Example:
            >>> Grid((10, 10, 10), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0)).with_spacing((2.0, 4.0, 5.0)).shape
            (20, 10, 8)
        """
        box = zip(self.shape, self.spacing_mm, spacing_mm, self.origin_mm, strict=True)
        shape, origin = [], []
        for count, old, new, start in box:
            shape.append(max(1, int(count * old / new)))
            origin.append(start - old / 2 + new / 2)
        return Grid((shape[0], shape[1], shape[2]), spacing_mm, (origin[0], origin[1], origin[2]))

    def box(self, low_mm: Any, high_mm: Any) -> tuple[slice, slice, slice]:
        """Return the index ranges of the voxels whose centres lie between two corners in mm, cut to the grid."""
        start = (np.asarray(low_mm) - self.origin_mm) / self.spacing_mm
        stop = (np.asarray(high_mm) - self.origin_mm) / self.spacing_mm
        first = np.clip(np.ceil(start), 0, self.shape).astype(int)
        last = np.clip(np.floor(stop) + 1, first, self.shape).astype(int)
        x, y, z = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        return x, y, z

    def crop(self, box: tuple[slice, slice, slice]) -> Grid:
        """Return the part of the grid inside index ranges."""
        shape = tuple(one.stop - one.start for one in box)
        origin = tuple(
            start + one.start * step for one, start, step in zip(box, self.origin_mm, self.spacing_mm, strict=True)
        )
        return Grid((shape[0], shape[1], shape[2]), self.spacing_mm, (origin[0], origin[1], origin[2]))


def sample_linear(volume: NDArray[np.float32], grid: Grid, target: Grid) -> NDArray[np.float32]:
    """Interpolate a volume linearly at the voxel centres of another grid; the border voxels extend outwards."""
    for axis in range(3):
        position = (target.axes[axis] - grid.origin_mm[axis]) / np.float32(grid.spacing_mm[axis])
        position = np.clip(position, 0, grid.shape[axis] - 1)
        lower = np.minimum(position.astype(np.intp), max(grid.shape[axis] - 2, 0))
        upper = np.minimum(lower + 1, grid.shape[axis] - 1)
        weight = (position - lower).astype(np.float32).reshape([-1 if one == axis else 1 for one in range(3)])
        low = volume.take(lower, axis=axis)
        step = volume.take(upper, axis=axis)
        step -= low
        step *= weight
        low += step
        volume = low
    return volume


def sample_nearest(volume: NDArray[Any], grid: Grid, target: Grid) -> NDArray[Any]:
    """Take the value of the nearest voxel at the voxel centres of another grid."""
    indices = []
    for axis in range(3):
        position = (target.axes[axis] - grid.origin_mm[axis]) / np.float32(grid.spacing_mm[axis])
        indices.append(np.clip(np.rint(position), 0, grid.shape[axis] - 1).astype(np.intp))
    return volume[np.ix_(*indices)]
