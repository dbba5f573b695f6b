"""Which way to one gradient a patient is used: tried on patients of random numbers, by time and memory.

Neither way is always better. In one backward step small patches cost less time, patient by patient they cost the memory
of one patient; which is faster depends on patches, layers and device. The choice is about cubes: a slab over a
patient's whole cross-section fits no other patient's, so it goes alone and takes its own memory whatever was chosen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fedpsma.contract import TrainingPlan
from fedpsma.health import GIB, available_memory_gib
from fedpsma.training.gradients.engine import Block, PatientGradients, Trainee
from fedpsma.training.gradients.grouped import NotSeparableError, grouped_gradients
from fedpsma.training.gradients.loop import loop_gradients
from fedpsma.training.gradients.trial import trial_patients
from fedpsma.training.patches import PatchBatch

GradientMethod = Literal["grouped", "loop"]
MOST_AT_ONCE = 8
# What a forward step keeps is about half of the peak of the backward step; the other half of what is free is reserve.
_SHARE_OF_FREE_MEMORY = 0.25
# The loop needs less memory and is easier to audit, so the other way has to be worth it.
_WORTH_IT = 0.9
_FLOAT32_AGREEMENT = 1e-3


@dataclass(frozen=True)
class GradientChoice:
    """The way that is used, for how many patients at once, and why."""

    method: GradientMethod
    patients_at_once: int
    reason: str

    @property
    def engine(self) -> PatientGradients:
        """The function of the way."""
        return grouped_gradients if self.method == "grouped" else loop_gradients


def choose_gradients(
    trainee: Trainee, plan: TrainingPlan, expected_patients: float, *, tracers: int = 5
) -> GradientChoice:
    """Let both ways make one step on random patients and choose the faster one that fits into memory.

    Under a fixed seed it is always the loop: the two ways differ in the last bits, and a seed promises all of them.
    """
    if plan.seed is not None:
        return GradientChoice("loop", 1, "the same bits under the same seed")
    device = trainee.parameters[0].device
    first, *_ = pair = trial_patients(2, plan.patches_per_patient, plan.patch_voxels, tracers=tracers, device=device)
    room = _SHARE_OF_FREE_MEMORY * free_bytes(device) / bytes_of_patient(trainee, first)
    at_once = int(min(MOST_AT_ONCE, max(expected_patients, 2), room))
    if at_once < 2:
        return GradientChoice("loop", 1, "memory for one patient at a time")
    try:
        grouped, grouped_s = _tried(grouped_gradients, trainee, pair)
    except NotSeparableError as error:
        return GradientChoice("loop", 1, str(error))
    looped, loop_s = _tried(loop_gradients, trainee, pair)
    if not _agree(grouped, looped):
        return GradientChoice("loop", 1, "grouped layers give other gradients than autograd")
    found = f"{grouped_s:.2f} s for two patients at once, {loop_s:.2f} s one by one"
    if loop_s * _WORTH_IT <= grouped_s:
        return GradientChoice("loop", 1, found)
    return GradientChoice("grouped", at_once, found)


def bytes_of_patient(trainee: Trainee, patient: PatchBatch) -> int:
    """Return what one more patient takes: what is kept for the backward step, and a gradient of his own."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = trainee.loss(trainee.net(patient.image, patient.tracer), patient.targets)
    del loss
    return sum(kept.values()) + sum(parameter.nbytes for parameter in trainee.parameters)


def free_bytes(device: torch.device) -> float:
    """Return the free memory of a device; without limit where the system does not tell."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    free = available_memory_gib()
    return float("inf") if free is None else free * GIB


def _tried(engine: PatientGradients, trainee: Trainee, patients: list[PatchBatch]) -> tuple[Block, float]:
    """Return the gradients and the seconds of a second try, when everything is loaded and compiled."""
    engine(trainee, patients)
    started = time.perf_counter()
    block = engine(trainee, patients)
    # A GPU is asked for a number, so that it has to be done.
    float(block[0].sum())
    return block, time.perf_counter() - started


def _agree(one: Block, other: Block) -> bool:
    apart = sum(float((a - b).double().square().sum()) for a, b in zip(one, other, strict=True))
    return apart <= _FLOAT32_AGREEMENT**2 * sum(float(b.double().square().sum()) for b in other)
