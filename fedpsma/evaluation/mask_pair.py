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

# File names may say who the patient is; a report does not.
_NAME = "one pair of masks"


def read_pair(true: Path, predicted: Path) -> tuple[list[Reading], list[DatasetTold]]:
    """Score one mask against another; each 18-connected component is a lesion.

    Raises:
        InputError: A file cannot be read, or the two lie on different grids.
    """
    labels, affine = read_labels(true)
    stand_in = np.broadcast_to(np.float32(0.0), labels.shape)
    found = read_labels_like(predicted, Volume(stand_in, affine))
    study = Study(
        study_id=_NAME,
        patient_id=_NAME,
        pet=stand_in,
        affine=affine,
        lesions=number_lesions(labels),
    )
    scores = score_mask(study, found > 0, StudyTruth(), dataset=_NAME, has_pet=False)
    told = DatasetTold(name=_NAME, site="", synthetic=False, contour=None, citation=None, licence=None)
    return [Reading("predicted mask", (scores,))], [told]
