"""Where sites draw the edge of a lesion by different rules: voxels that one rule takes and another leaves out.

Taught to one network, such edges contradict each other: a voxel of SUV 3.5 beside a hot core is tumour at a site that
contours at SUV 3 and normal at one that contours at 41 % of the maximum. Left out of the loss they teach nothing, and
nothing is lost, because the outline of a focus is drawn by the rule that the user names (:mod:`fedpsma.lesions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.contour import ContourConvention, threshold_suv
from fedpsma.model.inputs import DISPUTED, GridStudy

REACH_VOXELS = 3
"""How far outside a drawn lesion another rule may still take voxels to it."""


def without_disputed_edges(study: GridStudy, contours: Sequence[ContourConvention]) -> GridStudy:
    """Return a study whose lesion mask marks the voxels on which the rules disagree.

    Of a lesion with its hottest voxel at SUV p each rule gives a threshold. What the site drew stays a lesion from the
    highest of them on, or where it is hottest; around it, what lies above the lowest is disputed too. Rules without a
    threshold (a reader's outline, a liver that has to be measured) say nothing.

    Args:
        study: A study on the working grid; one without a lesion mask is returned as it is.
        contours: The rules of the sites that train together.
    """
    if study.lesions is None:
        return study
    drawn = study.lesions.numpy()
    suv = study.pet.float().numpy()
    marked = drawn.copy()
    for number, box in enumerate(ndimage.find_objects(drawn), start=1):
        if box is not None:
            around = tuple(slice(max(0, side.start - REACH_VOXELS), side.stop + REACH_VOXELS) for side in box)
            _mark(marked[around], drawn[around], suv[around], number, contours)
    return replace(study, lesions=torch.from_numpy(marked))


def _mark(
    marked: NDArray[np.int16],
    drawn: NDArray[np.int16],
    suv: NDArray[np.float32],
    number: int,
    contours: Sequence[ContourConvention],
) -> None:
    """Mark the disputed voxels of one lesion in place (x, y, z)."""
    inside = drawn == number
    peak = float(suv[inside].max())
    thresholds = [one for one in (threshold_suv(rule, peak) for rule in contours) if one is not None]
    if not thresholds:
        return
    lowest, highest = min(thresholds), min(max(thresholds), peak)
    near = ndimage.binary_dilation(inside, ndimage.generate_binary_structure(3, 1), REACH_VOXELS)
    outside = near & (drawn == 0) & (suv >= lowest)
    marked[(inside & (suv < highest)) | outside] = DISPUTED
