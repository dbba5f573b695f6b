"""The same man on the table another time: a small rigid motion of his body and of the foci in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.grid import Grid
from fedpsma.phantom.placement import PlacedFocus

# Rotations turn about this point (mm), near the middle of a field of view from thigh to skull base.
_PIVOT_MM = np.array([0.0, 0.0, 250.0])
_SHIFT_SD_MM = (4.0, 4.0, 6.0)
_ANGLE_SD_DEG, _ANGLE_MAX_DEG = 1.5, 3.0
# A focus whose structure moved away from under its centre by rounding is brought back from as far as this.
_RETURN_MM = 16.0

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """How a man lies: ``shift_mm`` along x, y, z after rotations about z (``turn_rad``) and x (``nod_rad``)."""

    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_rad: float = 0.0
    nod_rad: float = 0.0

    @property
    def matrix(self) -> Matrix:
        """Homogeneous 4 x 4 matrix from the man's own millimetres to those of the table."""
        c, s = np.cos(self.turn_rad), np.sin(self.turn_rad)
        d, t = np.cos(self.nod_rad), np.sin(self.nod_rad)
        rotation = np.array([[1, 0, 0], [0, d, -t], [0, t, d]]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = _PIVOT_MM - rotation @ _PIVOT_MM + self.shift_mm
        return matrix


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw how a man lies on another day: some mm off, turned and nodding by up to three degrees."""
    x, y, z = (float(value) for value in rng.normal(0, _SHIFT_SD_MM))
    turn, nod = np.radians(np.clip(rng.normal(0, _ANGLE_SD_DEG, 2), -_ANGLE_MAX_DEG, _ANGLE_MAX_DEG))
    return Pose((x, y, z), float(turn), float(nod))


def lay(anatomy: Anatomy, pose: Pose) -> Anatomy:
    """Return the body as it lies on the table; labels are taken from the nearest voxel."""
    if pose == Pose():
        return anatomy
    grid = _table_grid(anatomy.grid, pose)
    back = np.linalg.inv(pose.matrix) @ grid.affine
    to_index = np.linalg.inv(anatomy.grid.affine) @ back
    tissue, classes = (
        ndimage.affine_transform(volume, to_index, output_shape=grid.shape, order=0, mode="nearest", prefilter=False)
        for volume in (anatomy.tissue, anatomy.classes)
    )
    return replace(anatomy, tissue=tissue, classes=classes, grid=grid)


def lay_focus(placed: PlacedFocus, pose: Pose, table: Anatomy) -> PlacedFocus:
    """Return a focus where it lies on the table, inside the same structure; its side stays the man's own."""
    moved = pose.matrix @ np.array([*placed.centre_mm, 1.0])
    turn, nod = placed.focus.angles
    focus = replace(placed.focus, angles=(turn + pose.turn_rad, nod + pose.nod_rad))
    centre = (float(moved[0]), float(moved[1]), float(moved[2]))
    return settle(replace(placed, focus=focus, centre_mm=centre), table)


def settle(placed: PlacedFocus, anatomy: Anatomy) -> PlacedFocus:
    """Return the focus with its centre in a voxel of its class, the nearest one where it lies beside it."""
    grid = anatomy.grid
    index = np.rint((np.array(placed.centre_mm) - grid.origin_mm) / grid.spacing_mm).astype(int)
    if (index < 0).any() or (index >= grid.shape).any():
        return placed
    if anatomy.classes[tuple(index)] == placed.class_number:
        return placed
    reach = np.array([_RETURN_MM] * 3)
    box = grid.box(np.array(placed.centre_mm) - reach, np.array(placed.centre_mm) + reach)
    found = np.argwhere(anatomy.classes[box] == placed.class_number)
    if not len(found):
        return placed
    points = np.array(grid.crop(box).origin_mm) + found * grid.spacing_mm
    x, y, z = points[np.linalg.norm(points - placed.centre_mm, axis=1).argmin()]
    return replace(placed, centre_mm=(float(x), float(y), float(z)))


def _table_grid(grid: Grid, pose: Pose) -> Grid:
    """Return a grid that holds the moved body across; along z it covers the same slices of the man."""
    low = np.array(grid.origin_mm)
    high = low + (np.array(grid.shape) - 1) * grid.spacing_mm
    corners = np.array(list(product(*zip(low, high, strict=True))))
    moved = corners @ pose.matrix[:3, :3].T + pose.matrix[:3, 3]
    first = np.array([*moved.min(axis=0)[:2], low[2] + pose.shift_mm[2]])
    last = np.array([*moved.max(axis=0)[:2], high[2] + pose.shift_mm[2]])
    shape = np.ceil((last - first) / grid.spacing_mm - 1e-6).astype(int) + 1
    origin = (float(first[0]), float(first[1]), float(first[2]))
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), grid.spacing_mm, origin)
