"""A study on a grid of about 5 mm, on which organs and outlines are found quickly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import FloatVolume

COARSE_MM = 5.0
Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class CoarseGrid:
    """How many voxels of the study along x, y and z make one coarse voxel, and the coarse edges in mm."""

    factors: tuple[int, int, int]
    spacing_mm: Spacing

    @property
    def voxel_ml(self) -> float:
        """Volume of a coarse voxel in ml."""
        x, y, z = self.spacing_mm
        return x * y * z / 1000.0

    def mean_of(self, volume: NDArray[np.float32]) -> FloatVolume:
        """Average a volume (x, y, z) over the blocks of this grid; an incomplete block at the end is left out.

        Example:
            >>> coarse_grid((2.0, 4.0, 4.0)).mean_of(np.arange(4, dtype=np.float32).reshape(4, 1, 1)).ravel().tolist()
            [0.5, 2.5]
        """
        mean = volume
        # One axis at a time: five times as fast as all at once.
        for axis, factor in enumerate(self.factors):
            count = mean.shape[axis] // factor
            whole = mean[(slice(None),) * axis + (slice(count * factor),)]
            split = (*mean.shape[:axis], count, factor, *mean.shape[axis + 1 :])
            mean = whole.reshape(split).mean(axis=axis + 1, dtype=np.float32)
        return mean


def coarse_grid(spacing_mm: Spacing) -> CoarseGrid:
    """Return the blocks that bring each edge near 5 mm; a voxel that is larger already stays as it is.

    Example:
        >>> coarse_grid((2.04, 2.04, 3.0)).factors
        (2, 2, 2)
    """
    fx, fy, fz = (max(1, round(COARSE_MM / edge)) for edge in spacing_mm)
    x, y, z = spacing_mm
    return CoarseGrid((fx, fy, fz), (x * fx, y * fy, z * fz))
