"""What the network is trained to minimise; every term depends on the given patches alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from fedpsma.model.config import BACKGROUND, SUSPICIOUS, VOXEL_CLASSES
from fedpsma.model.inputs import UNLABELLED
from fedpsma.model.network import DenseLogits

# A lesion is a few dozen voxels in a patch of a hundred thousand, a tenth of which are organs with normal uptake.
VOXEL_CLASS_WEIGHTS = (1.0, 4.0, 200.0)
FOCAL_GAMMA = 2.0
ANATOMY_SHARE = 0.5
# The region of a lesion decides its stage, that of an unsuspected muscle nothing.
LESION_ANATOMY_WEIGHT = 8.0


class DenseTargets(NamedTuple):
    """Targets (batch, x, y, z), int64: voxel classes and anatomy classes, ``UNLABELLED`` where not known.

    Both lie on the network's full grid.
    """

    voxel: Tensor
    anatomy: Tensor


def dense_loss(logits: DenseLogits, targets: DenseTargets) -> Tensor:
    """Return the scalar training loss: focal cross entropy and Dice on voxel classes, cross entropy on anatomy."""
    voxel = focal_cross_entropy(logits.voxel, targets.voxel) + dice_loss(logits.voxel, targets.voxel)
    grid = logits.anatomy.shape[2:]
    anatomy, suspicious = _on_grid(targets.anatomy, grid), _on_grid(targets.voxel == SUSPICIOUS, grid)
    emphasis = 1 + (LESION_ANATOMY_WEIGHT - 1) * suspicious.to(logits.anatomy.dtype)
    return voxel + ANATOMY_SHARE * balanced_cross_entropy(logits.anatomy, anatomy, emphasis)


def _on_grid(labels: Tensor, shape: torch.Size) -> Tensor:
    """Take the labels in the middle of coarser voxels (every second one along each axis for half the grid)."""
    return labels if labels.shape[1:] == shape else labels[:, 1::2, 1::2, 1::2]


def focal_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Class-weighted focal loss (Lin et al. 2017, arXiv 1708.02002) with gamma 2, a weighted mean over known voxels."""
    known = target != UNLABELLED
    number = target.where(known, BACKGROUND)
    log_true = torch.log_softmax(logits, dim=1).gather(1, number[:, None])[:, 0]
    weight = logits.new_tensor(VOXEL_CLASS_WEIGHTS)[number] * known
    focus = (1 - log_true.exp()).pow(FOCAL_GAMMA)
    return -(weight * focus * log_true).sum() / weight.sum().clamp(min=1)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return 1 - soft Dice, averaged over all classes but the background, sums over all known voxels of the batch.

    An absent class costs nothing here, whatever is predicted of it; the cross entropy sees to that. The overlap of a
    patch without a lesion falls to nothing with the first voxels that are predicted suspicious. Where half of the
    patches had none (five synthetic sites), that pushed suspicion down as hard as all lesions pushed it up.
    """
    known = target != UNLABELLED
    probability = torch.softmax(logits, dim=1) * known[:, None]
    losses = []
    for number in range(len(VOXEL_CLASSES)):
        if number == BACKGROUND:
            continue
        truth = (target == number).to(logits.dtype)
        predicted = probability[:, number]
        overlap = (predicted * truth).sum()
        present = (truth.sum() > 0).to(logits.dtype)
        losses.append(present * (1 - (2 * overlap + 1) / (predicted.sum() + truth.sum() + 1)))
    return torch.stack(losses).mean()


def balanced_cross_entropy(logits: Tensor, target: Tensor, emphasis: Tensor | None = None) -> Tensor:
    """Cross entropy in which a class of n voxels weighs as sqrt(n); 0 where nothing is labelled.

    ``emphasis`` (batch, x, y, z) multiplies the weight of each voxel.
    """
    known = target != UNLABELLED
    if not bool(known.any()):
        return logits.sum() * 0.0
    counts = torch.bincount(target[known], minlength=logits.shape[1]).to(logits.dtype)
    losses = nn.functional.cross_entropy(logits, target, reduction="none", ignore_index=UNLABELLED)
    weight = counts.clamp(min=1).rsqrt()[target.clamp(max=logits.shape[1] - 1)] * known
    if emphasis is not None:
        weight = weight * emphasis
    return (losses * weight).sum() / weight.sum()
