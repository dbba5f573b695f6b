"""The lumen of the aorta: what a map that holds heart and great vessels in one class says of the blood pool.

The heart is no blood pool on PET: its wall takes up FDG, and liver and stomach shine into it. The aorta is told from it
by its shape (a tube, nowhere as thick as the heart) and its place (along the spine).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.lesions.geometry import FACES_AND_EDGES, Mask, depth_mm, voxels_in
from fedpsma.lesions.policy import AortaPolicy, policy


def aortic_lumen(vessels: Mask, spine: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Return the middle of the longest stretch of aorta along the spine; empty where there is none.

    Args:
        vessels: Voxels of heart and great vessels (x, y, z; z to superior).
        spine: Voxels of the thoracic and lumbar spine on the same grid.
        spacing_mm: Voxel edge lengths.
    """
    limits = policy().aorta
    if not vessels.any() or spine.sum() * float(np.prod(spacing_mm)) / 1000.0 < limits.least_spine_ml:
        return np.zeros_like(vessels)
    depth = depth_mm(vessels, spacing_mm)
    tube = vessels & (_distance_mm(spine, spacing_mm) <= limits.from_spine_mm)
    heart = depth >= limits.widest_radius_mm
    if heart.any():
        tube &= _distance_mm(heart, spacing_mm) > limits.widest_radius_mm + limits.clear_of_heart_mm
    return _longest(_core(np.where(tube, depth, 0.0), limits, spacing_mm), limits.least_length_mm / spacing_mm[2])


def _core(depth: NDArray[np.float64], limits: AortaPolicy, spacing_mm: tuple[float, float, float]) -> Mask:
    """Return the voxels near the axis of a tube: deep against the deepest voxel nearby."""
    axis = depth
    for direction, steps in enumerate(voxels_in(limits.widest_radius_mm / 2, spacing_mm)):
        axis = ndimage.maximum_filter1d(axis, 2 * steps + 1, axis=direction, mode="constant")
    return np.asarray((axis >= limits.least_radius_mm) & (depth >= limits.core_fraction * axis), dtype=bool)


def _longest(mask: Mask, least_levels: float) -> Mask:
    """Return the piece that runs through most axial levels, where these are enough."""
    pieces, _ = ndimage.label(mask, structure=FACES_AND_EDGES)
    levels = [found[2].stop - found[2].start for found in ndimage.find_objects(pieces)]
    if max(levels, default=0) < least_levels:
        return np.zeros_like(mask)
    return np.asarray(pieces == 1 + int(np.argmax(levels)), dtype=bool)


def _distance_mm(mask: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing_mm), dtype=np.float64)
