"""From body parameters to a labelled volume: tissues, and the anatomy classes with the lymph node stations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.phantom.body import BodyParameters
from fedpsma.phantom.grid import Grid
from fedpsma.phantom.shapes import Canvas
from fedpsma.phantom.skeleton import draw_ribs, draw_spine
from fedpsma.phantom.tables import Dome, Step, body, cover, organ_sizes, tissue_classes, tissue_number

# The field of view holds the raised arms, and in front and behind the muscle with the fat over it.
_HALF_WIDTH_MM, _FRONT_MM, _BACK_MM = 216.0, 122.0, -120.0


@dataclass(frozen=True)
class Anatomy:
    """A body on its working grid.

    ``tissue`` (x, y, z) holds labels of :func:`fedpsma.phantom.tables.tissues`, ``classes`` the class numbers of
    :mod:`fedpsma.domain.anatomy`; ``parameters.scale`` leads from standard to real millimetres.
    """

    tissue: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    grid: Grid
    parameters: BodyParameters


def working_grid(parameters: BodyParameters, spacing_mm: float) -> Grid:
    """Return the isotropic grid that holds the man inside his field of view."""
    width, depth, _ = parameters.scale
    front, back = _FRONT_MM + 1.2 * parameters.fat_mm, _BACK_MM - 0.9 * parameters.fat_mm
    aside = np.array([(0.0, 0.0), *(point[1:] for point in parameters.sway)])
    (left, behind), (right, before) = aside.min(axis=0), aside.max(axis=0)
    low = (-_HALF_WIDTH_MM * width + left, back * depth + behind, parameters.field[0])
    high = (_HALF_WIDTH_MM * width + right, front * depth + before, parameters.field[1])
    shape = tuple(int((b - a) / spacing_mm) for a, b in zip(low, high, strict=True))
    return Grid((shape[0], shape[1], shape[2]), (spacing_mm,) * 3, low)


def build_anatomy(parameters: BodyParameters, spacing_mm: float = 4.0) -> Anatomy:
    """Draw the whole body on a working grid."""
    grid = working_grid(parameters, spacing_mm)
    canvas = _canvas(grid, parameters)
    for step in body().steps:
        if step.needs in (None, parameters.prostate):
            _draw_step(canvas, step, parameters)
    classes = Canvas(tissue_classes()[canvas.labels], canvas.x, canvas.y, canvas.z)
    _draw_stations(classes)
    for labels in (canvas.labels, classes.labels):
        _bend(labels, grid, parameters)
    return Anatomy(canvas.labels, classes.labels, grid, parameters)


def _bend(labels: NDArray[np.uint8], grid: Grid, parameters: BodyParameters) -> None:
    """Move each axial slice by whole voxels to where the axis of the body runs."""
    steps = np.rint(np.stack(parameters.axis_mm(grid.axes[2])) / np.array(grid.spacing_mm)[:2, None]).astype(int)
    for first, last in _runs(steps):
        labels[:, :, first:last] = np.roll(labels[:, :, first:last], tuple(steps[:, first]), axis=(0, 1))


def _runs(steps: NDArray[np.int_]) -> Iterator[tuple[int, int]]:
    """Yield first and one past last of the slices (second axis) that move alike."""
    borders = 1 + np.flatnonzero((np.diff(steps, axis=1) != 0).any(axis=0))
    yield from zip([0, *borders], [*borders, steps.shape[1]], strict=True)


def _canvas(grid: Grid, parameters: BodyParameters) -> Canvas:
    x, y, z = (axis / np.float32(scale) for axis, scale in zip(grid.axes, parameters.scale, strict=True))
    return Canvas(np.zeros(grid.shape, dtype=np.uint8), x, y, z)


def _draw_step(canvas: Canvas, step: Step, parameters: BodyParameters) -> None:
    if step.shape == "spine":
        draw_spine(canvas, body().spine)
    elif step.shape == "ribs":
        draw_ribs(canvas, body(), parameters.rib_drop)
    elif step.shape == "diaphragm":
        _cut_at_diaphragm(canvas, step, parameters.diaphragm_mm)
    elif step.shape == "small_bowel":
        _draw_small_bowel(canvas, parameters)
    else:
        over = None if step.over is None else cover(step.over)
        _draw_shape(canvas, _fitted(step, parameters), tissue_number(step.tissue), over)


def _draw_shape(canvas: Canvas, step: Step, label: int, over: NDArray[np.bool_] | None) -> None:
    for flip in (1.0, -1.0) if step.mirror else (1.0,):
        side = np.array([flip, 1.0, 1.0])
        if step.shape == "ellipsoid" and step.centre and step.radii:
            x, y, z = step.centre
            canvas.ellipsoid(label, (flip * x, y, z), step.radii, flip * step.tilt, over)
        elif step.shape == "stroke":
            canvas.stroke(label, side * np.array(step.points), np.array(step.radius), over)
        elif step.shape == "plate":
            canvas.plate(label, side * np.array(step.edge_a), side * np.array(step.edge_b), np.max(step.radius), over)
        elif step.shape == "column":
            canvas.column(label, np.array(step.rows), flip * step.centre_x, step.power, over)


def _fitted(step: Step, parameters: BodyParameters) -> Step:
    """Apply this man's fat or the size and place of the organ to a shape of the standard body."""
    if step.skin:
        return step.model_copy(update={"rows": tuple(_with_fat(step, parameters.fat_mm))})
    if step.organ is None:
        return step
    size = organ_sizes()[step.organ]
    factor, shift = parameters.organ_scale[step.organ], np.array(parameters.organ_shift[step.organ])
    if step.shape == "ellipsoid" and step.centre and step.radii:
        anchor = np.array(size.anchor or step.centre)
        centre = anchor + factor * (np.array(step.centre) - anchor) + shift
        return step.model_copy(update={"centre": tuple(centre), "radii": tuple(factor * np.array(step.radii))})
    anchor = np.array(size.anchor or np.mean(step.points, axis=0))
    points = anchor + factor * (np.array(step.points) - anchor) + shift
    return step.model_copy(update={"points": tuple(map(tuple, points)), "radius": factor * np.array(step.radius)})


def _with_fat(step: Step, fat_mm: float) -> Iterator[tuple[float, float, float, float]]:
    for z, half, front, back in step.rows:
        thickness = fat_mm * float(np.interp(z, [-330, -60, 500, 590], [0.6, 1.0, 0.8, 0.25]))
        yield z, half + 0.9 * thickness, front + 1.2 * thickness, back - 0.9 * thickness


def _cut_at_diaphragm(canvas: Canvas, step: Step, shift_mm: float) -> None:
    """Give the lung under the diaphragm to the abdomen, and abdominal organs above it to the mediastinum."""
    height = np.max([_dome_height(canvas, dome) for dome in body().diaphragm], axis=0) + shift_mm
    box = slice(*np.searchsorted(canvas.z, [240, 480]))
    view = canvas.labels[:, :, box]
    beyond = (canvas.z[box] < height[:, :, None]) == (step.over == "lung")
    view[cover(step.over or "")[view] & beyond] = tissue_number(step.tissue)


def _dome_height(canvas: Canvas, dome: Dome) -> NDArray[np.float32]:
    dx = (canvas.x[:, None] - dome.centre[0]) / dome.radii[0]
    dy = (canvas.y[None, :] - dome.centre[1]) / dome.radii[1]
    bulge = np.sqrt(np.clip(1 - dx**2 - dy**2, 0, None))
    return np.asarray(dome.edge_z + (dome.top_z - dome.edge_z) * bulge, dtype=np.float32)


def _draw_small_bowel(canvas: Canvas, parameters: BodyParameters) -> None:
    path = _rounded(parameters.bowel)
    parts = (("ileum", 0.62, 1.0, 10.0), ("mid_bowel", 0.28, 0.64, 10.5), ("jejunum", 0.0, 0.3, 11.5))
    for name, start, stop, radius in parts:
        part = path[int(start * len(path)) : int(stop * len(path))]
        canvas.stroke(tissue_number(name), part, radius, cover("abdomen"))


def _rounded(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut the corners of a polyline twice (Chaikin)."""
    for _ in range(2):
        start, stop = points[:-1], points[1:]
        points = np.stack([0.75 * start + 0.25 * stop, 0.25 * start + 0.75 * stop], axis=1).reshape(-1, 3)
    return points


def _draw_stations(classes: Canvas) -> None:
    """Lay the node stations over soft tissue, leaving organs, bones and the large vessels as they are."""
    over = np.zeros(256, dtype=bool)
    over[anatomy_number("soft_tissue")] = True
    for station in body().stations:
        _draw_shape(classes, station, anatomy_number(station.tissue), over)
