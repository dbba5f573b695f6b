"""Spine and ribs: the parts of the skeleton that repeat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedpsma.phantom.shapes import Canvas
from fedpsma.phantom.tables import Body, Spine, SpineSegment, tissue_number

_DISC_SHARE = 0.16
# How far each rib runs from the spine: half a turn would reach the front; two ribs float.
_RIB_TURN = [0.74] * 7 + [0.70, 0.64, 0.58, 0.46, 0.32]
_RIB_RADIUS_MM = 5.0
_WALL_MM = 6.0


def draw_spine(canvas: Canvas, spine: Spine) -> None:
    """Draw bodies, arches, transverse and spinous processes of all vertebrae."""
    for segment in spine.segments:
        height = (segment.top - segment.bottom) / segment.count
        for number in range(segment.count):
            width = float(np.interp(number, [0, segment.count - 1], segment.half_width))
            _draw_vertebra(canvas, spine, segment, (segment.bottom + number * height, height, width))


def _draw_vertebra(canvas: Canvas, spine: Spine, segment: SpineSegment, place: tuple[float, float, float]) -> None:
    bottom, height, width = place
    label, depth = tissue_number(segment.tissue), segment.half_depth
    edges = bottom + height * np.array([_DISC_SHARE / 2, 1 - _DISC_SHARE / 2])
    y = spine.middle_y(edges)
    canvas.column(label, np.stack([edges, [width] * 2, y + depth, y - depth], axis=1), power=2.0)
    z, back = bottom + height / 2, float(spine.middle_y(bottom + height / 2)) - depth
    spinous = [[0, back - 15, z], [0, back - segment.process, z - 0.25 * height]]
    canvas.stroke(label, np.array(spinous), 4.5)
    for side in (1, -1):
        arch = [[side * 13, back + 2, z + 2], [side * 12, back - 9, z + 2], [0, back - 16, z]]
        canvas.stroke(label, np.array(arch), 4.0)
        canvas.stroke(label, np.array([[side * 13, back - 4, z], [side * (width + 14), back - 9, z]]), 3.6)


def draw_ribs(canvas: Canvas, body: Body, drop: float) -> None:
    """Draw twelve pairs of ribs along the wall of the thorax; ``drop`` scales how steeply they fall."""
    thoracic = next(one for one in body.spine.segments if one.count == len(_RIB_TURN))
    height = (thoracic.top - thoracic.bottom) / thoracic.count
    for number, turn in enumerate(_RIB_TURN):
        start = thoracic.top - (number + 0.4) * height
        fall = drop * float(np.interp(number, [0, 3, 9, 11], [38, 68, 92, 60]))
        path = _rib_path(body, start, fall, turn)
        for side in (1.0, -1.0):
            canvas.stroke(tissue_number("rib"), path * [side, 1, 1], _RIB_RADIUS_MM)


def _rib_path(body: Body, start_z: float, fall_mm: float, turn: float) -> NDArray[np.float64]:
    """Follow the wall of the thorax from the back (angle 0) towards the front (angle pi)."""
    angle = np.linspace(0.1, turn, 16) * np.pi
    z = start_z - fall_mm * (1 - np.cos(angle)) / 2
    levels, half, front, back = np.transpose(body.cavity)
    a = np.interp(z, levels, half) + _WALL_MM
    middle = (np.interp(z, levels, front) + np.interp(z, levels, back)) / 2
    b = np.interp(z, levels, front) - middle + _WALL_MM
    # The exponents of the superellipse that the cavity is drawn with (power 2.5).
    across = np.abs(np.sin(angle)) ** 0.8
    along = -np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8
    head = [[20.0, float(body.spine.middle_y(start_z)) - 12.0, start_z]]
    return np.concatenate([head, np.stack([a * across, middle + b * along, z], axis=1)])
