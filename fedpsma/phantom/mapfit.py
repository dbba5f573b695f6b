"""Stretching the parametric body to an organ map: scale, how the man lies, field of view, organ sizes and places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fedpsma.errors import InputError
from fedpsma.phantom.anatomy import build_anatomy
from fedpsma.phantom.body import BodyParameters, Prostate, draw_body
from fedpsma.phantom.grid import Grid
from fedpsma.phantom.tables import Point, Row, organ_sizes, read_table, tissue_number

Place = NDArray[np.float64]

_STANDARD_SPACING_MM = 5.0
# What the parametric body reaches, standard mm: mid thigh to vertex.
_REACH_MM = (-300.0, 832.0)
# Organs whose height says how long the trunk is, and those beside which the body's axis runs.
_HEIGHTS = ("kidneys", "liver", "spleen", "heart", "lungs", "head_glands")
_AXIS = ("bladder", "kidneys", "lungs", "head_glands")
_SCALE_RANGE = (0.75, 1.3)
_DIAPHRAGM_MM = 25.0
_NECK_MM, _NECK_FOLLOWS = 530.0, 0.35


class MapOrgan(Row):
    """One organ that can be taken from a map, as ``labelmap.json`` describes it."""

    tissues: tuple[str, ...]
    filler: str
    body: str | None
    needed: bool


@cache
def map_organs() -> Mapping[str, MapOrgan]:
    """Return the organs that can be taken from a map, by name."""
    return {name: MapOrgan.model_validate(row) for name, row in read_table("labelmap.json")["organs"].items()}


@dataclass(frozen=True)
class OrganMap:
    """Organs of a real person: ``organs`` (x, y, z) holds 0 or the place in :func:`map_organs` plus one."""

    organs: NDArray[np.uint8]
    grid: Grid

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Return the voxels of an organ."""
        return np.asarray(self.organs == organ_number(name))

    def require(self, where: str) -> None:
        """Raise ``InputError`` where the map lacks an organ that the fit needs."""
        missing = [name for name, organ in map_organs().items() if organ.needed and not self.mask(name).any()]
        if missing:
            raise InputError(
                f"has no {', '.join(missing)}",
                where=where,
                remedy="give maps from pelvis to lungs, or take this one out of the folder",
            )

    def centred(self) -> OrganMap:
        """Return the map with its origin where the parametric body has it: lungs along x and y, bladder along z."""
        aim = (*_standard("in_situ")["lungs"].centre[:2], _standard("in_situ")["bladder"].centre[2])
        found = _places(self)
        middle = (*found["lungs"].centre[:2], found["bladder"].centre[2])
        moved = np.array(self.grid.origin_mm) + aim - np.array(middle)
        return replace(self, grid=replace(self.grid, origin_mm=(float(moved[0]), float(moved[1]), float(moved[2]))))


@dataclass(frozen=True)
class OrganPlace:
    """Centroid and extent (1 to 99 % of the voxels) in mm, and volume in ml."""

    centre: Place
    extent: Place
    volume_ml: float


def organ_number(name: str) -> int:
    """Return the number of an organ in :class:`OrganMap`.

    Example:
        >>> organ_number("spleen")
        1
    """
    return 1 + list(map_organs()).index(name)


def fit_parameters(organ_map: OrganMap, parameters: BodyParameters) -> BodyParameters:
    """Return the parameters with scale, field of view, lie, organ sizes and organ places of a centred map.

    What the map cannot tell (fat, bowel, ribs, height, weight, whether the prostate was removed) stays as drawn.
    """
    standard, found = _standard(parameters.prostate), _places(organ_map)
    scale = _fit_scale(standard, found)
    low, high = organ_map.grid.axes[2][[0, -1]]
    fitted = replace(
        parameters,
        scale=scale,
        sway=_fit_sway(standard, found, scale),
        field=(max(float(low), _REACH_MM[0] * scale[2]), min(float(high), _REACH_MM[1] * scale[2])),
    )
    sizes, shifts = dict(parameters.organ_scale), dict(parameters.organ_shift)
    for name, organ in _body_organs(found).items():
        sizes[name] = float(np.cbrt(organ.volume_ml / np.prod(scale) / standard[name].volume_ml))
        x, y, z = _to_standard(organ.centre, fitted) - standard[name].centre
        shifts[name] = (float(x), float(y), float(z))
    # The gall bladder hangs on the liver, and so does the diaphragm.
    shifts["gall_bladder"] = shifts["liver"]
    diaphragm = float(np.clip(shifts["liver"][2], -_DIAPHRAGM_MM, _DIAPHRAGM_MM))
    return replace(fitted, organ_scale=sizes, organ_shift=shifts, diaphragm_mm=diaphragm)


def _body_organs(found: Mapping[str, OrganPlace]) -> dict[str, OrganPlace]:
    """Return the places under the names of the parametric body's organs."""
    named = {organ.body: found[name] for name, organ in map_organs().items() if organ.body and name in found}
    return named | {name: found[name] for name in ("kidney_left", "kidney_right") if name in found}


def _fit_scale(standard: Mapping[str, OrganPlace], found: Mapping[str, OrganPlace]) -> Point:
    names = [name for name in _HEIGHTS if name in found]
    ours, theirs = (
        np.array([places[name].centre[2] - places["bladder"].centre[2] for name in names])
        for places in (standard, found)
    )
    width, depth = found["lungs"].extent[:2] / standard["lungs"].extent[:2]
    x, y, z = np.clip([width, depth, float(ours @ theirs / (ours @ ours))], *_SCALE_RANGE)
    return float(x), float(y), float(z)


def _fit_sway(standard: Mapping[str, OrganPlace], found: Mapping[str, OrganPlace], scale: Point) -> tuple[Point, ...]:
    """Return how far the organs along the body's axis lie beside where the stretched body has them."""
    points = {}
    for name in _AXIS:
        if name in found:
            x, y = (found[name].centre - standard[name].centre * scale)[:2]
            points[float(standard[name].centre[2])] = (float(x), float(y))
    if "head_glands" in found:
        x, y = points[float(standard["head_glands"].centre[2])]
        points[_NECK_MM] = (_NECK_FOLLOWS * x, _NECK_FOLLOWS * y)
    return tuple((z, *points[z]) for z in sorted(points))


def _to_standard(centre: Place, parameters: BodyParameters) -> Place:
    """Return a point of this man in the millimetres of the standard body."""
    x, y = parameters.axis_mm(centre[2])
    return np.asarray((centre - [float(x), float(y), 0.0]) / parameters.scale)


def _places(organ_map: OrganMap) -> dict[str, OrganPlace]:
    """Return the places of organs that are there, kidneys also by side of their common centre."""
    voxels = np.nonzero(organ_map.organs)
    numbers, grid = organ_map.organs[voxels], organ_map.grid
    points = np.stack([axis[index] for axis, index in zip(grid.axes, voxels, strict=True)], axis=1)
    places = {}
    for name in map_organs():
        inside = points[numbers == organ_number(name)]
        if len(inside):
            places[name] = _place(inside, grid)
        if name == "kidneys" and len(inside):
            right = inside[:, 0] > places[name].centre[0]
            sides = {"kidney_left": inside[~right], "kidney_right": inside[right]}
            places |= {side: _place(part, grid) for side, part in sides.items() if len(part)}
    return places


def _place(points: NDArray[np.float32], grid: Grid) -> OrganPlace:
    low, high = np.percentile(points, [1, 99], axis=0)
    return OrganPlace(points.mean(axis=0, dtype=np.float64), high - low, len(points) * grid.voxel_ml)


@cache
def _standard(prostate: Prostate) -> dict[str, OrganPlace]:
    """Return where the standard body has its organs, also under their names in ``organs.json``."""
    neutral = replace(
        draw_body(np.random.default_rng(0), prostate),
        scale=(1.0, 1.0, 1.0),
        organ_scale=dict.fromkeys(organ_sizes(), 1.0),
        organ_shift=dict.fromkeys(organ_sizes(), (0.0, 0.0, 0.0)),
        diaphragm_mm=0.0,
        field=(-160.0, 830.0),
        sway=(),
    )
    anatomy = build_anatomy(neutral, _STANDARD_SPACING_MM)
    organs = np.zeros_like(anatomy.tissue)
    for name, organ in map_organs().items():
        organs[np.isin(anatomy.tissue, [tissue_number(tissue) for tissue in organ.tissues])] = organ_number(name)
    places = _places(OrganMap(organs, anatomy.grid))
    return places | {organ.body: places[name] for name, organ in map_organs().items() if organ.body}
