"""Putting foci into a body: a centre inside the right structure and side, and the shape that fits into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial

from fedpsma.domain.anatomy import anatomy_classes, anatomy_number
from fedpsma.domain.region import Region, Side
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.grid import Grid, sample_nearest
from fedpsma.phantom.lesions import Disease, Focus, lesion_table
from fedpsma.phantom.tables import tissue_number, tissues

FINE_MM = 2.0
_TRIES = 20
# A focus in a bone reaches at most so many of its radii from its centre.
_LONGEST = 2.2
# Confluent lesions may overlap by this share of the radius.
_MERGED = 0.3
_MIDLINE_MM = 7.0
_BONE = tuple(one.number for one in anatomy_classes() if one.region is not None and one.region.is_bone)
_STATIONS = tuple(one.number for one in anatomy_classes() if one.region is not None and one.region.is_node)


@dataclass(frozen=True)
class PlacedFocus:
    """A focus at its place: ``centre_mm`` in the working grid's millimetres, the class it lies in, region and side."""

    focus: Focus
    centre_mm: tuple[float, float, float]
    class_number: int
    region: Region
    side: Side


@dataclass(frozen=True)
class FocusShape:
    """How much of each fine voxel (0 to 1) a focus fills."""

    placed: PlacedFocus
    grid: Grid
    occupancy: NDArray[np.float32]

    @property
    def volume_ml(self) -> float:
        """True volume in ml, less than planned where the structure is too small for it."""
        return float(self.occupancy.sum()) * self.grid.voxel_ml


def place_disease(
    rng: np.random.Generator, disease: Disease, anatomy: Anatomy, taken: Sequence[PlacedFocus] = ()
) -> list[PlacedFocus]:
    """Find a place for every focus, away from those ``taken``.

    One whose structure is out of the field of view is left out, and one that finds no room beside the others: two
    lesions in one place would be one.
    """
    placer = _Placer(rng, anatomy, disease.confluent, taken)
    placed = (placer.place(focus) for focus in disease.lesions + disease.mimics)
    return [one for one in placed if one is not None]


class _Placer:
    """Keeps in mind where foci lie already, so that they do not run into each other."""

    def __init__(
        self, rng: np.random.Generator, anatomy: Anatomy, confluent: bool, taken: Sequence[PlacedFocus]
    ) -> None:
        self._rng = rng
        self._anatomy = anatomy
        self._confluent = confluent
        self._found: dict[str, NDArray[np.intp]] = {}
        self._trees: dict[str, spatial.KDTree] = {}
        self._last: dict[str, NDArray[np.float64]] = {}
        self._taken = np.array(
            [[*one.centre_mm, self._reach(one.focus, np.array(one.centre_mm))] for one in taken]
        ).reshape(-1, 4)

    def place(self, focus: Focus) -> PlacedFocus | None:
        """Return the focus at the roomiest of some places; ``None`` where each of them lies in another focus."""
        table = lesion_table()
        confluent = self._confluent and focus.suspicious and focus.region is not None and focus.region.is_bone
        beside = confluent and self._rng.random() < table.confluent.touching
        least = -_MERGED * _radius_mm(focus.volume_ml) if confluent else 0.0
        enough = least if confluent else table.gap_mm
        room, best = -np.inf, np.zeros(4)
        for _ in range(_TRIES):
            centre = self._beside(focus) if beside else self._candidate(focus)
            if centre is None:
                return None
            reach = self._reach(focus, centre)
            free = self._room(centre, reach)
            if free > room:
                room, best = free, np.array([*centre, reach])
            if room >= enough:
                break
        if room < least:
            return None
        self._taken = np.vstack([self._taken, best])
        self._last[focus.target or ""] = best
        return self._named(focus, best[:3])

    def _reach(self, focus: Focus, centre: NDArray[np.float64]) -> float:
        """Return how far a focus extends from its centre in mm, further in a thin bone than in a wide organ."""
        radius = _radius_mm(focus.volume_ml)
        if focus.target is None or not len(self._voxels(focus.target)):
            return radius
        if focus.target not in self._trees:
            self._trees[focus.target] = spatial.KDTree(self._centres(focus.target))
        count = min(int(np.ceil(focus.volume_ml / self._anatomy.grid.voxel_ml)), len(self._voxels(focus.target)))
        distance, _ = self._trees[focus.target].query(centre, k=[count])
        return float(np.clip(distance[0], radius, _LONGEST * radius))

    def _candidate(self, focus: Focus) -> NDArray[np.float64] | None:
        if focus.path is None:
            return self._inside(focus.target or "")
        point = self._near_path(focus)
        if point is None or focus.target is None:
            return point
        centres = self._centres(focus.target)
        return centres[np.linalg.norm(centres - point, axis=1).argmin()] if len(centres) else None

    def _beside(self, focus: Focus) -> NDArray[np.float64] | None:
        """Return a place in the same structure that touches the lesion put there last."""
        last, centres = self._last.get(focus.target or ""), self._centres(focus.target or "")
        if last is None or not len(centres):
            return self._candidate(focus)
        share = np.linalg.norm(centres - last[:3], axis=1) / (last[3] + _radius_mm(focus.volume_ml))
        near = np.flatnonzero((share > 1 - _MERGED / 2) & (share < 1.15))
        return centres[self._rng.choice(near)] if len(near) else self._candidate(focus)

    def _room(self, centre: NDArray[np.float64], reach: float) -> float:
        if not len(self._taken):
            return np.inf
        return float((np.linalg.norm(self._taken[:, :3] - centre, axis=1) - self._taken[:, 3]).min()) - reach

    def _voxels(self, target: str) -> NDArray[np.intp]:
        if target not in self._found:
            self._found[target] = np.flatnonzero(_mask_of(self._anatomy, target))
        return self._found[target]

    def _centres(self, target: str) -> NDArray[np.float64]:
        """Return the middle of every voxel of a target in mm, (n, 3)."""
        grid = self._anatomy.grid
        index = np.stack(np.unravel_index(self._voxels(target), grid.shape), axis=1)
        return np.asarray(np.array(grid.origin_mm) + index * grid.spacing_mm)

    def _inside(self, target: str) -> NDArray[np.float64] | None:
        """Return a place anywhere in a target, between the middles of the voxels too."""
        voxels = self._voxels(target)
        if not len(voxels):
            return None
        grid = self._anatomy.grid
        index = np.array(np.unravel_index(int(self._rng.choice(voxels)), grid.shape))
        return np.asarray(np.array(grid.origin_mm) + (index + self._rng.uniform(-0.49, 0.49, 3)) * grid.spacing_mm)

    def _near_path(self, focus: Focus) -> NDArray[np.float64] | None:
        points = np.array(focus.path)
        length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        at = self._rng.uniform(0, length[-1])
        point = np.array([np.interp(at, length, points[:, axis]) for axis in range(3)])
        point[0] *= self._rng.choice([-1.0, 1.0])
        centre = self._anatomy.parameters.to_real(point + self._rng.normal(0, focus.spread_mm, 3))
        grid = self._anatomy.grid
        inside = grid.origin_mm[2] < centre[2] < grid.origin_mm[2] + grid.shape[2] * grid.spacing_mm[2]
        return centre if inside else None

    def _named(self, focus: Focus, centre: NDArray[np.float64]) -> PlacedFocus:
        grid = self._anatomy.grid
        index = np.rint((centre - grid.origin_mm) / grid.spacing_mm).astype(int)
        number = int(self._anatomy.classes[tuple(np.clip(index, 0, np.array(grid.shape) - 1))])
        region = focus.region or anatomy_classes()[number].region or Region.OTHER_SOFT_TISSUE
        place = (float(centre[0]), float(centre[1]), float(centre[2]))
        midline = float(self._anatomy.parameters.axis_mm(place[2])[0])
        return PlacedFocus(focus, place, number, region, side_of(region, place[0] - midline))


def side_of(region: Region, x_mm: float) -> Side:
    """Return the side of a focus at a distance from the midline, as far as the region has sides.

    Example:
        >>> side_of(Region.BONE_RIB, 40.0), side_of(Region.BONE_RIB, -2.0), side_of(Region.BONE_LSPINE, 12.0)
        ('R', 'L', 'M')
    """
    legal = region.facts.sides
    if "M" in legal and (abs(x_mm) < _MIDLINE_MM or "L" not in legal):
        return "M"
    return "R" if x_mm > 0 else "L"


def shape_focus(placed: PlacedFocus, anatomy: Anatomy, margin_mm: float) -> FocusShape:
    """Grow the focus from its centre as an ellipsoid inside what it may fill, until its volume is reached.

    ``margin_mm`` is left round it for the blur.
    """
    focus = placed.focus
    radius = _radius_mm(focus.volume_ml)
    reach = (_LONGEST if placed.class_number in _BONE else 1.5) * radius + FINE_MM + margin_mm
    count = 2 * int(reach / FINE_MM) + 1
    middle = np.array(placed.centre_mm)
    origin = middle - (count // 2) * FINE_MM
    grid = Grid((count,) * 3, (FINE_MM,) * 3, (float(origin[0]), float(origin[1]), float(origin[2])))
    distance = _distance(grid, placed)
    distance[~_fillable(grid, placed, anatomy)] = np.inf
    core = int(margin_mm / FINE_MM)
    for axis in range(3):
        edge = np.moveaxis(distance, axis, 0)
        edge[:core] = np.inf
        edge[count - core :] = np.inf
    if not np.isfinite(distance).any():
        distance[(count // 2,) * 3] = 0.0
    edge_mm = _edge_mm(distance, round(focus.volume_ml / grid.voxel_ml))
    occupancy = np.clip((edge_mm - distance) / FINE_MM + 0.5, 0, 1).astype(np.float32)
    return FocusShape(placed, grid, occupancy)


def _edge_mm(distance: NDArray[np.float32], voxels: int) -> float:
    """Return the distance within which so many voxels lie, or all that are free (finite) where these are fewer."""
    free = np.sort(distance[np.isfinite(distance)])
    last = min(max(voxels, 1), len(free)) - 1
    step = free[last + 1] - free[last] if last + 1 < len(free) else 0.0
    return float(free[last] + 0.5 * min(FINE_MM, step))


def _distance(grid: Grid, placed: PlacedFocus) -> NDArray[np.float32]:
    """Distance in mm from the centre, measured so that equal values are ellipsoids of the focus' shape."""
    turn, nod = placed.focus.angles
    ratios = np.array(placed.focus.ratios)
    ratios = ratios / np.cbrt(np.prod(ratios))
    rotation = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    rotation = np.array([[1, 0, 0], [0, np.cos(nod), np.sin(nod)], [0, -np.sin(nod), np.cos(nod)]]) @ rotation
    metric = (rotation / ratios[:, None]).astype(np.float32)
    x, y, z = (axis - np.float32(c) for axis, c in zip(grid.axes, placed.centre_mm, strict=True))
    squared = np.zeros(grid.shape, dtype=np.float32)
    for row in metric:
        squared += (row[0] * x[:, None, None] + row[1] * y[None, :, None] + row[2] * z[None, None, :]) ** 2
    return np.sqrt(squared)


def _fillable(grid: Grid, placed: PlacedFocus, anatomy: Anatomy) -> NDArray[np.bool_]:
    """Where the focus may grow: a node or urine through soft tissue, everything else in its own structure only."""
    classes = sample_nearest(anatomy.classes, anatomy.grid, grid)
    soft = anatomy_number("soft_tissue")
    free = placed.focus.path is not None and placed.focus.target is None
    if free or placed.class_number in (*_STATIONS, soft):
        allowed = np.isin(classes, (*_STATIONS, soft))
        allowed &= sample_nearest(anatomy.tissue, anatomy.grid, grid) != tissue_number("air")
    else:
        parts, _ = ndimage.label(classes == placed.class_number)
        allowed = (parts == parts[tuple(np.array(grid.shape) // 2)]) & (parts > 0)
    return np.asarray(allowed)


def _mask_of(anatomy: Anatomy, target: str) -> NDArray[np.bool_]:
    """Voxels of a target: a tissue of that name that is not a class of its own, else the anatomy class."""
    if any(one.name == target for one in anatomy_classes()):
        return np.asarray(anatomy.classes == anatomy_number(target))
    numbers = [number for number, tissue in enumerate(tissues()) if tissue.name == target]
    return np.isin(anatomy.tissue, numbers)


def _radius_mm(volume_ml: float) -> float:
    return float((3000 * volume_ml / (4 * np.pi)) ** (1 / 3))
