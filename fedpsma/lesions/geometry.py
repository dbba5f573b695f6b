"""Boxes inside a volume, and the way between voxel indices and millimetres."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.study import Affine

Box = tuple[slice, slice, slice]
Index = tuple[int, int, int]
Mask = NDArray[np.bool_]

FWHM_PER_SIGMA = 2.3548
"""Full width at half maximum of a Gaussian over its standard deviation."""

FACES_AND_EDGES: Mask = ndimage.generate_binary_structure(3, 2)
"""18-connectivity: the neighbourhood in which lesions hang together, as in the autoPET rules."""


def bounding_box(mask: Mask) -> Box | None:
    """Return the smallest box (x, y, z) that holds every true voxel; ``None`` where there is none.

    Example:
        >>> bounding_box(np.eye(3, dtype=bool)[None])
        (slice(0, 1, None), slice(0, 3, None), slice(0, 3, None))
    """
    plane = np.asarray(mask.any(axis=2))
    if not plane.any():
        return None
    x, y = _extent(np.asarray(plane.any(axis=1))), _extent(np.asarray(plane.any(axis=0)))
    return x, y, _extent(np.asarray(mask[x, y].any(axis=(0, 1))))


def _extent(line: Mask) -> slice:
    hits = np.flatnonzero(line)
    return slice(int(hits[0]), int(hits[-1]) + 1)


def grown(box: Box, margin: Index, shape: tuple[int, ...]) -> Box:
    """Return the box grown by ``margin`` voxels on every side, cut at the edges of the volume."""
    x, y, z = (
        slice(max(side.start - more, 0), min(side.stop + more, size))
        for side, more, size in zip(box, margin, shape, strict=True)
    )
    return x, y, z


def within(outer: Box, inner: Box) -> Box:
    """Return a box of the volume as seen from a larger one that holds it.

    Example:
        >>> within((slice(2, 9),) * 3, (slice(3, 5),) * 3)[0]
        slice(1, 3, None)
    """
    x, y, z = (slice(i.start - o.start, i.stop - o.start) for o, i in zip(outer, inner, strict=True))
    return x, y, z


def placed(outer: Box, inner: Box) -> Box:
    """Return where in the volume a box lies that is given as seen from a larger one: undoes :func:`within`."""
    x, y, z = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
    return x, y, z


def enlarged(mask: Mask, box: Box, outer: Box) -> Mask:
    """Return a mask given in ``box`` as one of the larger box ``outer``."""
    whole = np.zeros([side.stop - side.start for side in outer], dtype=bool)
    whole[within(outer, box)] = mask
    return whole


def voxels_in(distance_mm: float, spacing_mm: tuple[float, float, float]) -> Index:
    """Return how many voxels along x, y and z cover a distance.

    Example:
        >>> voxels_in(10.0, (4.0, 4.0, 2.0))
        (3, 3, 5)
    """
    x, y, z = (int(np.ceil(distance_mm / step - 1e-9)) for step in spacing_mm)
    return x, y, z


def neighbourhood(mask: Mask, distance_mm: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """Return the voxels within ``distance_mm`` of the mask along every axis (a box, not a ball)."""
    near = mask.view(np.uint8)
    for axis, steps in enumerate(voxels_in(distance_mm, spacing_mm)):
        near = ndimage.maximum_filter1d(near, 2 * steps + 1, axis=axis, mode="constant")
    return np.asarray(near, dtype=bool)


def depth_mm(mask: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return how far below the surface of the mask each voxel lies, in mm; the edge of the volume counts as surface."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing_mm)
    return np.asarray(depth[1:-1, 1:-1, 1:-1], dtype=np.float64)


def world_mm(affine: Affine, indices: NDArray[Any]) -> NDArray[np.float64]:
    """Map voxel indices (n, 3) to patient coordinates (n, 3) in mm: right, anterior, superior.

    Example:
        >>> world_mm(np.diag([4.0, 4.0, 2.0, 1.0]), np.array([[1, 2, 3]])).tolist()
        [[4.0, 8.0, 6.0]]
    """
    return np.asarray(indices @ affine[:3, :3].T + affine[:3, 3], dtype=np.float64)


def indices_of(mask: Mask, box: Box) -> NDArray[np.intp]:
    """Return the indices (n, 3) in the whole volume of the true voxels of a mask given in a box."""
    return np.asarray(np.argwhere(mask) + [side.start for side in box], dtype=np.intp)


def connected_to(mask: Mask, index: Index) -> Mask:
    """Return the part of the mask that hangs together (18-connectivity) with the voxel at ``index``."""
    labels, _ = ndimage.label(mask, structure=FACES_AND_EDGES)
    return np.asarray((labels == labels[index]) & mask, dtype=bool)
