"""Two masks and nothing else: the true lesions, and what somebody found."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fedpsma.domain.study import Study
from fedpsma.evaluation.report import DatasetTold, Reading
from fedpsma.evaluation.scoring import score_mask
from fedpsma.evaluation.truth import StudyTruth
from fedpsma.io.importing.lesions import number_lesions
from fedpsma.io.nifti import Volume, read_labels, read_labels_like
from fedpsma.lesions.geometry import bounding_box

# File names may say who the patient is; a report does not.
_NAME = "one pair of masks"


def read_pair(true: Path, predicted: Path) -> tuple[list[Reading], list[DatasetTold]]:
    """Score one mask against another; each 18-connected component is a lesion.

    Raises:
        InputError: A file cannot be read, or the two lie on different grids.
    """
    labels, affine = read_labels(true)
    found = read_labels_like(predicted, Volume(np.broadcast_to(np.float32(0.0), labels.shape), affine))
    # The empty rest of the body changes no score.
    box = bounding_box((labels > 0) | (found > 0)) or (slice(1), slice(1), slice(1))
    numbered = number_lesions(labels[box])
    study = Study(_NAME, _NAME, np.zeros(numbered.shape, np.float32), affine, lesions=numbered)
    scores = score_mask(study, found[box] > 0, StudyTruth(), dataset=_NAME, has_pet=False)
    told = DatasetTold(name=_NAME, site="", synthetic=False, contour=None, citation=None, licence=None)
    return [Reading("predicted mask", (scores,))], [told]
