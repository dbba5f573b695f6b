"""What is measured on a lesion and on a patient: SUVmax, SUVmean, SUVpeak, volume, TLU, TLQ and diameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import fftconvolve
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from fedpsma.domain.study import Affine, FloatVolume, Study
from fedpsma.lesions.geometry import Box, Mask, grown, indices_of, within, world_mm
from fedpsma.lesions.statistics import IntensityStatistics, intensity_statistics

PEAK_RADIUS_MM = 6.2035
"""Radius of the sphere of 1 ml."""

_SUBSAMPLES = 11


@dataclass(frozen=True)
class Quantities:
    """Measurements of one lesion; SUV in g/ml, ``None`` where it cannot be measured.

    ``tlu`` is volume times SUVmean (total lesion uptake), ``tlq`` volume over SUVmean (lesion quotient, definition
    UNCONFIRMED). ``longest_mm`` is the largest diameter in space, ``short_axis_mm`` the smallest width in
    the axial slice with the largest area; both of the PET outline, not of what CT shows. ``statistics`` says how the
    SUV is spread over the voxels.
    """

    suvmax: float
    suvmean: float | None = None
    suvpeak: float | None = None
    volume_ml: float | None = None
    longest_mm: float | None = None
    short_axis_mm: float | None = None
    statistics: IntensityStatistics | None = None

    @property
    def tlu(self) -> float | None:
        """Volume times SUVmean, in ml g/ml."""
        return None if self.volume_ml is None or self.suvmean is None else self.volume_ml * self.suvmean

    @property
    def tlq(self) -> float | None:
        """Volume over SUVmean, in ml per g/ml."""
        return None if self.volume_ml is None or not self.suvmean else self.volume_ml / self.suvmean


@dataclass(frozen=True)
class PatientQuantities:
    """Sums over lesions: PSMA-TV in ml, TLU and TLQ, and the SUVmean weighted by volume (``None`` without volume)."""

    psma_tv_ml: float
    tlu: float
    tlq: float
    suvmean: float | None


def measure(study: Study, mask: Mask, box: Box, suvmax: float) -> Quantities:
    """Measure one lesion.

    Args:
        study: The PET in SUV.
        mask: The lesion's voxels inside ``box`` (x, y, z); may be empty, then only ``suvmax`` is known.
        box: Where the mask lies in the volume.
        suvmax: SUV of the hottest voxel of the focus, kept where the mask is empty.
    """
    if not mask.any():
        return Quantities(suvmax=suvmax)
    values = study.pet[box][mask].astype(np.float64)
    return Quantities(
        suvmax=float(values.max()),
        suvmean=float(values.mean()),
        suvpeak=suv_peak(study.pet, mask, box, sphere_weights(*study.spacing_mm)),
        volume_ml=float(mask.sum() * study.voxel_ml),
        longest_mm=largest_diameter(mask, study.affine),
        short_axis_mm=short_axis(mask, study.affine),
        statistics=intensity_statistics(values),
    )


def total(lesions: Iterable[Quantities]) -> PatientQuantities:
    """Add up the lesions that have a volume.

    Example:
        >>> total([Quantities(9, 8.0, volume_ml=4.0), Quantities(15, 12.0, volume_ml=6.0)]).tlu
        104.0
    """
    measured = [one for one in lesions if one.volume_ml]
    volume = float(sum(one.volume_ml or 0.0 for one in measured))
    uptake = float(sum(one.tlu or 0.0 for one in measured))
    quotient = float(sum(one.tlq or 0.0 for one in measured))
    return PatientQuantities(volume, uptake, quotient, uptake / volume if volume else None)


def suv_peak(pet: FloatVolume, mask: Mask, box: Box, weights: NDArray[np.float64]) -> float:
    """Return SUVpeak: the highest mean over a sphere whose centre is a voxel of the lesion.

    The content of the sphere may lie outside the lesion, so SUVpeak can exceed the SUVmax of the mask. Where the sphere
    reaches beyond the image, the part inside counts (as IBSI has it).

    Args:
        pet: SUV, the whole volume (x, y, z).
        mask: The lesion's voxels inside ``box``, at least one.
        box: Where the mask lies in the volume.
        weights: Share of each voxel in the sphere round the middle voxel: :func:`sphere_weights`.
    """
    reach = tuple(size // 2 for size in weights.shape)
    around = grown(box, (reach[0], reach[1], reach[2]), pet.shape)
    support = pet[around].astype(np.float64)
    inner = within(around, box)
    sums = fftconvolve(support, weights, mode="same")[inner]
    counted = fftconvolve(np.ones_like(support), weights, mode="same")[inner]
    return float((sums[mask] / counted[mask]).max())


@cache
def sphere_weights(x_mm: float, y_mm: float, z_mm: float, radius_mm: float = PEAK_RADIUS_MM) -> NDArray[np.float64]:
    """Return the share of each voxel in a sphere round the middle voxel, sum 1, for voxels of these edge lengths.

    The default radius is that of 1 ml; on coarse grids whole voxels alone would miss that volume by a tenth.

    Example:
        >>> round(float(sphere_weights(3.39, 3.39, 2.025).sum()), 6)
        1.0
    """
    offsets = (np.arange(_SUBSAMPLES) - _SUBSAMPLES // 2) / _SUBSAMPLES
    squares = []
    for step in (x_mm, y_mm, z_mm):
        reach = int(np.ceil(radius_mm / step - 0.5))
        squares.append((((np.arange(-reach, reach + 1)[:, None] + offsets) * step) ** 2).ravel())
    inside = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :] <= radius_mm**2
    x, y, z = (len(axis) // _SUBSAMPLES for axis in squares)
    share = inside.reshape(x, _SUBSAMPLES, y, _SUBSAMPLES, z, _SUBSAMPLES).mean(axis=(1, 3, 5))
    return np.asarray(share / share.sum(), dtype=np.float64)


def largest_diameter(mask: Mask, affine: Affine) -> float:
    """Return the largest distance in mm between two points of the surface (IBSI maximum 3D diameter).

    The surface lies half a voxel outside the outermost voxel centres, so a single voxel measures its own edge length.
    """
    rim = mask & ~ndimage.binary_erosion(mask)
    hull = _hull(np.argwhere(rim), affine)
    return float(pdist(hull).max())


def short_axis(mask: Mask, affine: Affine) -> float:
    """Return the smallest width in mm (between parallel lines) in the axial slice with the largest area.

    For the oval shapes of nodes this is the extent across the longest axis. The edge is that of
    :func:`largest_diameter`.
    """
    level = int(mask.sum(axis=(0, 1)).argmax())
    plane = np.delete(np.delete(affine, 2, axis=0), 2, axis=1)
    hull = _hull(np.argwhere(mask[:, :, level]), plane)
    along = np.roll(hull, -1, axis=0) - hull
    across = np.column_stack([-along[:, 1], along[:, 0]]) / np.linalg.norm(along, axis=1, keepdims=True)
    return float(np.ptp(hull @ across.T, axis=0).min())


def _hull(cells: NDArray[np.intp], affine: Affine) -> NDArray[np.float64]:
    """Return the corners in mm of the convex hull of points half a voxel beside the cells (n, axes), in its order."""
    axes = cells.shape[1]
    steps = 0.5 * np.concatenate([np.eye(axes), -np.eye(axes)])
    points = (cells[:, None, :] + steps).reshape(-1, axes) @ affine[:axes, :axes].T
    return np.asarray(points[ConvexHull(points).vertices], dtype=np.float64)


def centroid_mm(mask: Mask, box: Box, affine: Affine) -> NDArray[np.float64]:
    """Return the middle of a mask in patient coordinates (right, anterior, superior) in mm."""
    return np.asarray(world_mm(affine, indices_of(mask, box)).mean(axis=0), dtype=np.float64)
