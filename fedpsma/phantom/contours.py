"""The lesion mask as a site draws it: by threshold on the noise-free image, or along the true boundary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.contour import ContourConvention, threshold_suv
from fedpsma.domain.study import FloatVolume, LabelVolume
from fedpsma.phantom.lesions import lesion_table
from fedpsma.phantom.scanner import ImagedFocus
from fedpsma.phantom.scanner_table import scanner_table


def draw_mask(
    ideal: FloatVolume, lesions: Sequence[ImagedFocus], convention: ContourConvention, liver: tuple[float, float]
) -> LabelVolume:
    """Return a volume (x, y, z) that numbers the lesions from 1; ``liver`` is its SUV mean and SD.

    A voxel belongs to a lesion when it reaches the convention's threshold, at least half of its signal comes from that
    lesion (or it lies inside its true boundary), and it is connected to the hottest voxel that is the lesion's own and
    is not hotter. Where two lesions claim a voxel, the one whose true boundary holds more of it has it, outside both
    the one with more signal there. A lesion that no reader would see, or nowhere above the threshold, has no voxel.
    """
    mask = np.zeros(ideal.shape, dtype=np.int32)
    claim = np.zeros(ideal.shape, dtype=np.float32)
    most = max((float(lesion.signal.max(initial=0)) for lesion in lesions), default=0.0)
    for number, lesion in enumerate(lesions, start=1):
        if not stands_out(ideal[lesion.box], lesion, liver):
            continue
        region = lesion_region(ideal[lesion.box], lesion, convention, liver)
        right = np.where(_inside(lesion), most * (1 + lesion.occupancy), np.maximum(lesion.signal, 0))
        region &= right > claim[lesion.box]
        mask[lesion.box][region] = number
        claim[lesion.box][region] = right[region]
    return mask


def stands_out(ideal: NDArray[np.float32], lesion: ImagedFocus, liver: tuple[float, float]) -> bool:
    """Tell whether a reader sees a lesion: where it is strongest it stands out of its surroundings and of the noise."""
    visible = lesion_table().visible
    inside = _inside(lesion)
    if not inside.any():
        return False
    at = np.unravel_index(int(np.where(inside, lesion.signal, -np.inf).argmax()), ideal.shape)
    signal = float(lesion.signal[at])
    around = max(float(ideal[at]) - signal, 0.0)
    mean, deviation = liver
    noise = deviation * (around / mean) ** scanner_table().noise.power
    return signal >= float(max(visible.contrast * around, visible.noise * noise))


def lesion_region(
    ideal: NDArray[np.float32], lesion: ImagedFocus, convention: ContourConvention, liver: tuple[float, float]
) -> NDArray[np.bool_]:
    """Return the voxels of one lesion inside its box."""
    inside = _inside(lesion)
    # The spill of a hotter neighbour is neither this lesion's maximum nor part of it.
    own = inside & (lesion.signal >= 0.5 * ideal)
    height = np.where(own if own.any() else inside, ideal, -np.inf)
    peak = np.unravel_index(int(height.argmax()), height.shape)
    placed = lesion.shape.placed
    threshold = threshold_suv(convention, float(ideal[peak]), *liver, in_bone=placed.region.is_bone)
    if threshold is None:
        return inside
    region = (ideal >= threshold) & (ideal <= ideal[peak]) & (inside | (lesion.signal >= 0.5 * ideal))
    parts, _ = ndimage.label(region)
    return np.asarray((parts == parts[peak]) & region)


def _inside(lesion: ImagedFocus) -> NDArray[np.bool_]:
    """Return the voxels that the lesion fills by half, or most of all where none is filled so far."""
    return np.asarray(lesion.occupancy >= min(0.5, float(lesion.occupancy.max())))
