"""Dice, false-positive and false-negative volume by the rules of the autoPET challenge."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fedpsma.lesions.geometry import FACES_AND_EDGES, Mask, bounding_box


@dataclass(frozen=True)
class SegmentationScores:
    """Scores of one study; ``dice`` and ``false_negative_ml`` are NaN where the truth holds no lesion."""

    dice: float
    false_positive_ml: float
    false_negative_ml: float


def segmentation_scores(truth: Mask, predicted: Mask, voxel_ml: float) -> SegmentationScores:
    """Return all three scores of two masks (x, y, z) on one grid with voxels of ``voxel_ml``."""
    if truth.shape != predicted.shape:
        raise ValueError(f"the truth has shape {truth.shape}, the prediction {predicted.shape}")
    missed = unmatched_voxels(truth, predicted) * voxel_ml if truth.any() else math.nan
    invented = unmatched_voxels(predicted, truth) * voxel_ml
    return SegmentationScores(dice(truth, predicted), invented, missed)


def dice(truth: Mask, predicted: Mask) -> float:
    """Return 2 |T and P| / (|T| + |P|); NaN where the truth is empty.

    Example:
        >>> dice(np.array([[[True, True, False]]]), np.array([[[False, True, False]]]))
        0.6666666666666666
    """
    in_truth = int(np.count_nonzero(truth))
    if in_truth == 0:
        return math.nan
    return 2.0 * int(np.count_nonzero(truth & predicted)) / (in_truth + int(np.count_nonzero(predicted)))


def unmatched_voxels(mask: Mask, other: Mask) -> int:
    """Return how many voxels lie in 18-connected components of ``mask`` that share no voxel with ``other``.

    With the prediction as ``mask`` and the truth as ``other`` this is the false-positive volume in voxels, the other
    way round the false-negative volume.
    """
    box = bounding_box(mask)
    if box is None:
        return 0
    components, count = ndimage.label(mask[box], structure=FACES_AND_EDGES)
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    touched = np.bincount(components[mask[box] & other[box]], minlength=count + 1) > 0
    touched[0] = True
    return int(sizes[~touched].sum())
