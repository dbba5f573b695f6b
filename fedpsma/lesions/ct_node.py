"""The short axis of a lymph node on CT, measured at its own boundary to the fat around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.study import Study
from fedpsma.lesions.foci import Focus
from fedpsma.lesions.geometry import Mask, indices_of
from fedpsma.lesions.locate import hot_core
from fedpsma.lesions.policy import NodePolicy, policy

_STEP_MM = 1.0
# The densest part within the tolerated shift: a node of 5 mm fills less than a tenth of it.
_DENSEST_PERCENT = 95.0
_Point = NDArray[np.float64]


@dataclass(frozen=True)
class NodeOnCt:
    """Soft tissue under a focus: ``hu`` is its attenuation, ``None`` where there is only fat or air.

    ``short_axis_mm`` is ``None`` where fat does not part the node from muscle, vessel or bowel.
    """

    hu: float | None = None
    short_axis_mm: float | None = None


def measure_node(focus: Focus, study: Study, ct: NDArray[np.float32]) -> NodeOnCt:
    """Measure the soft tissue at a focus in the axial plane.

    The boundary lies halfway between node and fat, on a CT interpolated to 1 mm, so that the coarse PET grid that the
    CT lies on does not decide. The short axis is the diameter of the largest circle inside the node.

    Args:
        focus: Where the PET is hot; the node may lie a few millimetres off it.
        study: Its grid.
        ct: Attenuation in HU on that grid (x, y, z).
    """
    limits = policy().node
    core = indices_of(hot_core(focus, study.pet), focus.box).mean(axis=0)
    fine, centre = _around(ct, core, study.spacing_mm, limits)
    away = _distance(fine.shape, centre)
    near = away <= limits.shift_mm
    hu = float(np.percentile(fine[near], _DENSEST_PERCENT))
    if hu < limits.soft_tissue_from_hu:
        return NodeOnCt()
    tissue = fine >= (limits.fat_hu + min(hu, limits.dense_hu)) / 2
    x, y, z = (int(one) for one in np.unravel_index(int(np.where(tissue, away, np.inf).argmin()), tissue.shape))
    return NodeOnCt(float(np.median(fine[near & tissue])), _short_axis(tissue[:, :, z], (x, y), centre[:2], limits))


def _around(
    ct: NDArray[np.float32], core: _Point, spacing_mm: tuple[float, float, float], limits: NodePolicy
) -> tuple[NDArray[np.float32], _Point]:
    """Return the CT around a point (in voxels) in steps of 1 mm, and where the point lies in it."""
    spacing = np.array(spacing_mm)
    reach = np.ceil(limits.reach_mm / spacing).astype(int)
    start = np.maximum(np.rint(core).astype(int) - reach, 0)
    stop = np.minimum(np.rint(core).astype(int) + reach + 1, ct.shape)
    coarse = ct[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    counts = ((stop - start - 1) * spacing / _STEP_MM).astype(int) + 1
    axes = [np.arange(count) * _STEP_MM / step for count, step in zip(counts, spacing, strict=True)]
    capped = np.minimum(coarse, limits.dense_hu)
    fine = ndimage.map_coordinates(capped, np.meshgrid(*axes, indexing="ij"), order=1)
    return np.asarray(fine, dtype=np.float32), (core - start) * spacing / _STEP_MM


def _distance(shape: tuple[int, ...], centre: _Point) -> NDArray[np.float64]:
    axes = np.ogrid[tuple(slice(0, count) for count in shape)]
    squares = [((axis - at) * _STEP_MM) ** 2 for axis, at in zip(axes, centre, strict=True)]
    return np.asarray(np.sqrt(sum(squares)), dtype=np.float64)


def _short_axis(tissue: Mask, start: tuple[int, int], centre: _Point, limits: NodePolicy) -> float | None:
    """Return the diameter of the widest circle reached uphill from ``start``, where fat surrounds it."""
    depth = ndimage.distance_transform_edt(np.pad(tissue, 1))[1:-1, 1:-1] * _STEP_MM
    x, y = _uphill(depth, start)
    radius = float(depth[x, y]) - _STEP_MM / 2
    away = _distance(depth.shape, np.array([x, y], dtype=np.float64))
    ring = (away > radius + limits.ring_mm[0]) & (away <= radius + limits.ring_mm[1])
    moved = float(np.hypot(x - centre[0], y - centre[1])) * _STEP_MM
    if moved > limits.shift_mm or not ring.any() or float((~tissue[ring]).mean()) < limits.fat_share:
        return None
    return 2 * radius


def _uphill(depth: NDArray[np.float64], start: tuple[int, int]) -> tuple[int, int]:
    x, y = start
    while True:
        left, low = max(x - 1, 0), max(y - 1, 0)
        window = depth[left : x + 2, low : y + 2]
        dx, dy = np.unravel_index(int(window.argmax()), window.shape)
        if window[dx, dy] <= depth[x, y]:
            return x, y
        x, y = left + int(dx), low + int(dy)
