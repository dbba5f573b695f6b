"""From a mask or label map to one number a lesion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import find_objects
from skimage.measure import label

from fedpsma.domain.study import LabelVolume
from fedpsma.errors import InputError

# Voxels that share a face or an edge are one lesion (18 neighbours), as in the autoPET challenge.
LESION_CONNECTIVITY = 2


@dataclass(frozen=True)
class LesionLabels:
    """Which numbers of a label map are lesions, and which are something else (organs, regions to be ignored)."""

    lesions: frozenset[int]
    others: frozenset[int] = frozenset()


def number_lesions(labels: LabelVolume) -> LabelVolume:
    """Give each connected component of a mask or label map a number from 1, with 18 neighbours.

    Two labels that touch stay two lesions.

    Args:
        labels: Whole numbers (x, y, z), 0 is none.

    Example:
        >>> number_lesions(np.array([[[1, 1, 0, 1, 2]]], np.int32)).tolist()
        [[[1, 1, 0, 2, 3]]]
    """
    numbered = np.zeros(labels.shape, np.int32)
    # Lesions fill a small part of a body, and labelling costs by the voxel.
    for box in find_objects((labels != 0).view(np.uint8)):
        numbered[box] = label(labels[box], background=0, connectivity=LESION_CONNECTIVITY)
    return numbered


def keep_lesions(labels: LabelVolume, meaning: LesionLabels, path: Path) -> LabelVolume:
    """Set every label that is no lesion to 0.

    Args:
        labels: Whole numbers (x, y, z), 0 is none.
        meaning: What the numbers mean.
        path: The file, for the error.

    Raises:
        InputError: A label has no meaning.

    Example:
        >>> keep_lesions(np.array([[[0, 1, 2]]]), LesionLabels(frozenset({2}), frozenset({1})), Path("m.nii")).tolist()
        [[[0, 0, 2]]]
    """
    found = {int(number) for number in np.unique(labels[labels > 0])}
    strange = found - meaning.lesions - meaning.others
    if strange:
        raise InputError(
            f"holds the label {min(strange)}, and nothing says what it is",
            where=str(path),
            remedy="name the label in dataset.json, or give a mask of lesions alone",
        )
    if found <= meaning.lesions:
        return labels
    return np.where(np.isin(labels, sorted(meaning.lesions)), labels, 0).astype(np.int32)
