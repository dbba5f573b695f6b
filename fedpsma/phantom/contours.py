"""The lesion mask as a site draws it: by threshold on the noise-free image, or along the true boundary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.contour import ContourConvention
from fedpsma.domain.study import FloatVolume, LabelVolume
from fedpsma.phantom.scanner import ImagedFocus

# qPSMA takes the liver for soft tissue and SUV 3 for bone.
_FIXED = {"suv3": 3.0, "suv4": 4.0, "liver": 3.0}
_SHARE_OF_MAX = {"pct41": 0.41, "pct45": 0.45, "pct50": 0.50}
# Formula of qPSMA for soft tissue, 4.30 / mean * (mean + SD), unconfirmed.
_LIVER_FACTOR = 4.30


def draw_mask(
    ideal: FloatVolume, lesions: Sequence[ImagedFocus], convention: ContourConvention, liver: tuple[float, float]
) -> LabelVolume:
    """Return a volume (x, y, z) that numbers the lesions from 1; ``liver`` is its SUV mean and SD.

    A voxel belongs to a lesion when it reaches the convention's threshold, at least half of its signal comes from that
    lesion (or it lies inside its true boundary), and it is connected to the lesion's hottest voxel. Where two lesions
    claim a voxel, the one with more signal there has it. A lesion nowhere above the threshold has no voxel.
    """
    mask = np.zeros(ideal.shape, dtype=np.int32)
    claim = np.zeros(ideal.shape, dtype=np.float32)
    for number, lesion in enumerate(lesions, start=1):
        region = lesion_region(ideal[lesion.box], lesion, convention, liver)
        region &= lesion.signal > claim[lesion.box]
        mask[lesion.box][region] = number
        claim[lesion.box][region] = lesion.signal[region]
    return mask


def lesion_region(
    ideal: NDArray[np.float32], lesion: ImagedFocus, convention: ContourConvention, liver: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return the voxels of one lesion inside its box."""
    inside = lesion.occupancy >= 0.5
    if not inside.any():
        inside = lesion.occupancy == lesion.occupancy.max()
    if convention == "manual":
        return inside
    height = np.where(inside, ideal, -np.inf)
    peak = np.unravel_index(int(height.argmax()), height.shape)
    placed = lesion.shape.placed
    threshold = threshold_suv(float(ideal[peak]), convention, liver, in_bone=placed.region.is_bone)
    region = (ideal >= threshold) & (inside | (lesion.signal >= 0.5 * ideal))
    parts, _ = ndimage.label(region)
    return np.asarray((parts == parts[peak]) & region)


def threshold_suv(
    peak_suv: float, convention: ContourConvention, liver: tuple[float, float], *, in_bone: bool = False
) -> float:
    """Return the SUV from which on a voxel belongs to a lesion with this peak; ``liver`` is SUV mean and SD.

    Example:
        >>> threshold_suv(20.0, "pct41", (5.0, 0.8)), threshold_suv(20.0, "suv3", (5.0, 0.8))
        (8.2, 3.0)
    """
    if convention in _SHARE_OF_MAX:
        return peak_suv * _SHARE_OF_MAX[convention]
    if convention == "liver" and not in_bone:
        mean, sd = liver
        return _LIVER_FACTOR / mean * (mean + sd)
    if convention == "manual":
        raise ValueError("a manual contour has no threshold")
    return _FIXED[convention]
