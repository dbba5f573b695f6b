"""Patients one after the other by plain autograd: the memory of one patient, and nothing to trust but PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fedpsma.training.gradients.engine import Block, Trainee
from fedpsma.training.patches import PatchBatch


def loop_gradients(trainee: Trainee, patients: Sequence[PatchBatch]) -> Block:
    """Return the gradients of patients, (patients, *shape) for each parameter, with one backward step each."""
    found = []
    for patient in patients:
        loss = trainee.loss(trainee.net(patient.image, patient.tracer), patient.targets)
        found.append(torch.autograd.grad(loss, list(trainee.parameters)))
    return [torch.stack(gradients) for gradients in zip(*found, strict=True)]
