"""Drawing into a label volume: ellipsoids, strokes, plates and columns, each inside its own bounding box.

All coordinates are in the canvas' millimetres; a later shape lies on top of an earlier one unless told which labels it
may cover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.phantom.grid import Axis

Points = NDArray[np.float32]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Canvas:
    """A label volume (x, y, z) with the millimetre position of its voxels along each axis."""

    labels: NDArray[np.uint8]
    x: Axis
    y: Axis
    z: Axis

    def ellipsoid(
        self,
        label: int,
        centre: Sequence[float],
        radii: Sequence[float],
        tilt_deg: float = 0.0,
        over: NDArray[np.bool_] | None = None,
    ) -> None:
        """Fill an ellipsoid; ``tilt_deg`` turns it in the coronal plane, its top towards smaller x.

        ``over`` says for each label whether it may be covered; ``None`` covers everything.
        """
        reach = np.asarray(radii, dtype=float)
        if tilt_deg:
            reach = np.array([max(radii[0], radii[2]), radii[1], max(radii[0], radii[2])])
        box = self._box(np.asarray(centre) - reach, np.asarray(centre) + reach)
        dx = (self.x[box[0]] - centre[0])[:, None, None]
        dy = (self.y[box[1]] - centre[1])[None, :, None]
        dz = (self.z[box[2]] - centre[2])[None, None, :]
        angle = np.deg2rad(tilt_deg)
        across = dx * np.cos(angle) + dz * np.sin(angle)
        along = dz * np.cos(angle) - dx * np.sin(angle)
        inside = (across / radii[0]) ** 2 + (along / radii[2]) ** 2 + (dy / radii[1]) ** 2 <= 1
        self._fill(box, inside, label, over)

    def stroke(
        self,
        label: int,
        points: NDArray[np.floating],
        radius: float | NDArray[np.floating],
        over: NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw a tube along a polyline of points (n, 3); ``radius`` in mm holds for all points or for each."""
        dense, reach = _resample(np.asarray(points, dtype=np.float32), np.asarray(radius, dtype=np.float32), self.step)
        self.dots(label, dense, reach, over)

    def plate(
        self,
        label: int,
        edge_a: NDArray[np.floating],
        edge_b: NDArray[np.floating],
        radius: float,
        over: NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw the ruled surface between two edges of equally many points (n, 3), ``2 * radius`` mm thick."""
        width = float(np.linalg.norm(np.asarray(edge_a) - np.asarray(edge_b), axis=1).max())
        for share in np.linspace(0, 1, max(2, int(width / self.step) + 2)):
            self.stroke(label, (1 - share) * np.asarray(edge_a) + share * np.asarray(edge_b), radius, over)

    def column(
        self,
        label: int,
        rows: NDArray[np.floating],
        centre_x: float = 0.0,
        power: float = 2.5,
        over: NDArray[np.bool_] | None = None,
    ) -> None:
        """Fill a stack of superellipses; each row gives z, half width, front y and back y, in the order of z."""
        table = np.asarray(rows, dtype=np.float32)
        box = self._box(
            (centre_x - table[:, 1].max(), table[:, 3].min(), table[0, 0]),
            (centre_x + table[:, 1].max(), table[:, 2].max(), table[-1, 0]),
        )
        z = self.z[box[2]]
        half, front, back = (np.interp(z, table[:, 0], table[:, one]).astype(np.float32) for one in (1, 2, 3))
        across = np.abs(self.x[box[0]][:, None] - np.float32(centre_x)) / half
        middle, depth = (front + back) / 2, (front - back) / 2
        along = np.abs(self.y[box[1]][:, None] - middle) / depth
        inside = (across**power)[:, None, :] + (along**power)[None, :, :] <= 1
        self._fill(box, inside, label, over)

    @property
    def step(self) -> float:
        """Distance in mm between drawn points that leaves no gap: three quarters of the smallest voxel edge."""
        return 0.75 * float(min(abs(axis[1] - axis[0]) for axis in (self.x, self.y, self.z)))

    def dots(self, label: int, points: Points, radius: NDArray[np.float32], over: NDArray[np.bool_] | None) -> None:
        """Draw a ball round each point (n, 3), all at once: every voxel near a point is tested."""
        if not len(points):
            return
        axes = (self.x, self.y, self.z)
        reach = float(radius.max())
        index, near = [], np.zeros((1, 1, 1, 1), dtype=np.float32)
        for number, axis in enumerate(axes):
            pitch = float(axis[1] - axis[0])
            span = int(reach / pitch) + 1
            middle = np.rint((points[:, number] - axis[0]) / pitch).astype(np.intp)
            voxel = middle[:, None] + np.arange(-span, span + 1)
            offset = (axis[0] + pitch * voxel - points[:, number, None]).astype(np.float32) ** 2
            offset[(voxel < 0) | (voxel >= len(axis))] = np.inf
            shape = [len(points), 1, 1, 1]
            shape[number + 1] = -1
            index.append(np.clip(voxel, 0, len(axis) - 1).reshape(shape))
            near = near + offset.reshape(shape)
        inside = near <= (radius**2)[:, None, None, None]
        self._set_flat(np.ravel_multi_index((index[0], index[1], index[2]), self.labels.shape)[inside], label, over)

    def _set_flat(self, flat: NDArray[np.intp], label: int, over: NDArray[np.bool_] | None) -> None:
        labels = self.labels.reshape(-1)
        labels[flat if over is None else flat[over[labels[flat]]]] = label

    def _box(self, low: Sequence[float], high: Sequence[float]) -> Box:
        ranges = []
        for axis, start, stop in zip((self.x, self.y, self.z), low, high, strict=True):
            first, last = np.searchsorted(axis, start, "left"), np.searchsorted(axis, stop, "right")
            ranges.append(slice(int(first), int(last)))
        return ranges[0], ranges[1], ranges[2]

    def _fill(self, box: Box, inside: NDArray[np.bool_], label: int, over: NDArray[np.bool_] | None) -> None:
        view = self.labels[box]
        if over is not None:
            inside &= over[view]
        view[inside] = label


def _resample(points: Points, radius: NDArray[np.float32], step: float) -> tuple[Points, NDArray[np.float32]]:
    """Put points along a polyline not more than ``step`` mm apart, with the radius interpolated."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    place = np.linspace(0, length[-1], int(length[-1] / step) + 2)
    dense = np.stack([np.interp(place, length, points[:, axis]) for axis in range(3)], axis=1)
    spread = np.interp(place, length, np.broadcast_to(radius, len(points)))
    return dense.astype(np.float32), spread.astype(np.float32)
