"""Quick whole-body measures on held-out patients, to watch a training; evaluation proper is in fedpsma.evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from fedpsma.model.config import SUSPICIOUS
from fedpsma.model.inference import predict_grid
from fedpsma.model.inputs import GridStudy
from fedpsma.model.network import LesionNet
from fedpsma.training.patches import lesion_mask

SUSPICION_THRESHOLD = 0.5


@dataclass(frozen=True)
class StudyScore:
    """What one whole-body prediction reached, counted in voxels of the working grid.

    A lesion is found when at least one of its voxels is predicted suspicious; a false positive is a connected
    component (26 neighbours) of predicted voxels that touches no lesion.
    """

    lesions: int
    found: int
    false_positives: int
    overlap: int
    predicted: int
    truth: int
    anatomy_right: int
    anatomy_voxels: int


def score_study(net: LesionNet, study: GridStudy) -> StudyScore:
    """Predict a study with known lesions and compare."""
    voxel, anatomy = predict_grid(net, study)
    predicted = (voxel[SUSPICIOUS] > SUSPICION_THRESHOLD).numpy()
    lesions = lesion_mask(study).numpy()
    components, count = ndimage.label(predicted, np.ones((3, 3, 3)))
    touching = np.unique(components[(lesions > 0) & predicted])
    known = torch.zeros_like(anatomy, dtype=torch.bool) if study.anatomy is None else study.anatomy > 0
    return StudyScore(
        lesions=len(np.unique(lesions[lesions > 0])),
        found=len(np.unique(lesions[(lesions > 0) & predicted])),
        false_positives=count - len(touching),
        overlap=int(((lesions > 0) & predicted).sum()),
        predicted=int(predicted.sum()),
        truth=int((lesions > 0).sum()),
        anatomy_right=_agreeing(anatomy, study.anatomy, known),
        anatomy_voxels=int(known.sum()),
    )


def summary(scores: list[StudyScore]) -> dict[str, float | None]:
    """Pool the scores of several studies into the figures of a model card; ``None`` where nothing could be counted.

    Example:
        >>> summary([StudyScore(4, 3, 2, 30, 40, 60, 9, 10)])["lesion_sensitivity"]
        0.75
    """
    total = {name: sum(getattr(score, name) for score in scores) for name in StudyScore.__dataclass_fields__}
    dice = [2 * score.overlap / (score.predicted + score.truth) for score in scores if score.truth]
    return {
        "studies": len(scores),
        "lesions": total["lesions"],
        "lesion_sensitivity": _share(total["found"], total["lesions"]),
        "false_positives_per_study": _share(total["false_positives"], len(scores)),
        "mean_dice_of_studies_with_lesions": _share(sum(dice), len(dice)),
        "pooled_dice": _share(2 * total["overlap"], total["predicted"] + total["truth"]),
        "anatomy_accuracy_inside_body": _share(total["anatomy_right"], total["anatomy_voxels"]),
    }


def _agreeing(found: Tensor, truth: Tensor | None, known: Tensor) -> int:
    return 0 if truth is None else int((found == truth)[known].sum())


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
