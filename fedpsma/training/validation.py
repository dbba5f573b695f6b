"""Quick whole-body measures on held-out patients, to watch a training; evaluation proper is in fedpsma.evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from fedpsma.evaluation.detection import PooledDetections, ScanDetections, found_at, hit_matrix
from fedpsma.model.config import SUSPICIOUS
from fedpsma.model.inference import predict_grid
from fedpsma.model.inputs import GridStudy
from fedpsma.model.network import LesionNet
from fedpsma.training.patches import lesion_mask

SUSPICION_THRESHOLD = 0.5
# Average precision ranks candidates by their suspicion, and a lesion below the least threshold has no rank: with 0.5 a
# model that learnt from patients with few lesions seems blind where its scale has only moved.
CANDIDATE_THRESHOLD = 0.1
SELECTION = "selection"
SELECTION_MEANS = (
    "mean of lesion average precision and mean Dice of the studies with lesions, on held-out patients, on the working "
    f"grid; Dice of what is predicted suspicious above {SUSPICION_THRESHOLD}, candidates above {CANDIDATE_THRESHOLD}"
)


@dataclass(frozen=True)
class StudyScore:
    """What one whole-body prediction reached, counted in voxels of the working grid.

    A lesion is found when at least one of its voxels is predicted suspicious; a false positive is a connected
    component (26 neighbours) of predicted voxels that touches no lesion. The candidates of ``detections`` are the
    components above ``CANDIDATE_THRESHOLD``; each scores its highest probability and hits a lesion at an intersection
    over union of at least 0.1: touching alone would reward a network that marks everything.
    """

    lesions: int
    found: int
    false_positives: int
    overlap: int
    predicted: int
    truth: int
    anatomy_right: int
    anatomy_voxels: int
    detections: ScanDetections


def score_study(net: LesionNet, study: GridStudy) -> StudyScore:
    """Predict a study with known lesions and compare."""
    voxel, anatomy = predict_grid(net, study)
    suspicion = voxel[SUSPICIOUS].numpy()
    predicted = suspicion > SUSPICION_THRESHOLD
    lesions = lesion_mask(study).numpy()
    components, count = _components(predicted)
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
        detections=_detections(study, suspicion),
    )


def summary(scores: Sequence[StudyScore]) -> dict[str, float | None]:
    """Pool the scores of several studies into the figures of a model card; ``None`` where nothing could be counted.

    "selection" is the figure by which a training keeps its best weights, as ``SELECTION_MEANS`` says.
    """

    def total(name: str) -> int:
        return sum(getattr(score, name) for score in scores)

    dice = [2 * score.overlap / (score.predicted + score.truth) for score in scores if score.truth]
    pooled = PooledDetections.of([score.detections for score in scores], range(len(scores)))
    precision = float(pooled.average_precision(np.ones((1, len(scores))))[0])
    mean_dice = math.fsum(dice) / len(dice) if dice else math.nan
    return {
        SELECTION: _known((precision + mean_dice) / 2),
        "studies": len(scores),
        "lesions": total("lesions"),
        "lesion_average_precision": _known(precision),
        "lesion_sensitivity": _share(total("found"), total("lesions")),
        "false_positives_per_study": _share(total("false_positives"), len(scores)),
        "mean_dice_of_studies_with_lesions": _known(mean_dice),
        "pooled_dice": _share(2 * total("overlap"), total("predicted") + total("truth")),
        "anatomy_accuracy_inside_body": _share(total("anatomy_right"), total("anatomy_voxels")),
    }


def _components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    components, count = ndimage.label(mask, np.ones((3, 3, 3)))
    return components, count


def _detections(study: GridStudy, suspicion: NDArray[np.float32]) -> ScanDetections:
    components, count = _components(suspicion > CANDIDATE_THRESHOLD)
    highest = np.asarray(ndimage.maximum(suspicion, components, np.arange(1, count + 1)), dtype=np.float64)
    hits = hit_matrix(lesion_mask(study).numpy(), components, count, study.pet.float().numpy(), "iou")
    return ScanDetections(highest, np.asarray(hits.any(axis=1)), found_at(hits, highest))


def _agreeing(found: Tensor, truth: Tensor | None, known: Tensor) -> int:
    return 0 if truth is None else int((found == truth)[known].sum())


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
