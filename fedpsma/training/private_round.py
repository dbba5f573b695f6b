"""The steps of one round over the patients of a site, whatever they show and whatever network learns from it.

Draw patients, clip the gradient of each, add up, add noise, go down; all with the noise that the round was charged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Weights
from fedpsma.training.accounting import sample_rate
from fedpsma.training.charge import Charge
from fedpsma.training.clipping.rule import clipping_of
from fedpsma.training.descent import Descent
from fedpsma.training.dp import PrivateStep, draw_patients, private_gradient
from fedpsma.training.gradients.engine import Block
from fedpsma.training.interruption import raise_if_stopped
from fedpsma.training.randomness import Randomness
from fedpsma.training.steering import Steering

GradientsOf = Callable[[list[int]], Iterable[Block]]
"""Returns the gradients of drawn patients, by their numbers, one each, some patients a block."""


@dataclass(frozen=True)
class PrivateRound:
    """A round that is ready to be trained.

    Args:
        plan: How to train.
        parameters: What is trained, by name, where the round begins.
        patients: How many there are.
        charge: What the round was charged; ``None`` adds no noise.
        randomness: Where draws and noise come from.
        number: Which round, from 1 on.
        correction: Control variates by parameter name, added to the gradient of every step.
    """

    plan: TrainingPlan
    parameters: Mapping[str, nn.Parameter]
    patients: int
    charge: Charge | None
    randomness: Randomness
    number: int
    correction: Weights | None = None

    @property
    def expected_patients(self) -> float:
        """The mean size of a draw."""
        return sample_rate(self.plan, self.patients) * self.patients

    def run(self, gradients_of: GradientsOf) -> float:
        """Take all steps of the round; the parameters change in place. Return the clipping bound after the last one.

        Raises:
            TrainingDivergedError: A loss or gradient is not finite.
            TrainingStoppedError: Somebody asked it to stop (:mod:`fedpsma.training.interruption`).
        """
        parameters = list(self.parameters.values())
        size = sum(parameter.numel() for parameter in parameters)
        noise_multiplier = 0.0 if self.charge is None else self.charge.noise_multiplier
        step = PrivateStep(clipping_of(self.plan, list(self.parameters)), noise_multiplier, self.expected_patients)
        steering = Steering.of(self.parameters, self.plan.proximal_mu, self.correction)
        descent = Descent.of(self.plan, parameters, self.number)
        for _ in range(self.plan.steps_per_round):
            raise_if_stopped()
            drawn = draw_patients(self.patients, sample_rate(self.plan, self.patients), self.randomness)
            gradient = private_gradient(gradients_of(drawn), size, step, self.randomness)
            descent.step(steering.added_to(gradient, parameters))
        return step.clipping.norm


def training_device(plan: TrainingPlan) -> torch.device:
    """Return the device of a plan, with the site's share of its memory set aside.

    Raises:
        InputError: The plan asks for a GPU and there is none.
    """
    if plan.device == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise InputError("no CUDA device is available", where="plan.device", remedy='use device = "cpu"')
    torch.cuda.set_per_process_memory_fraction(plan.gpu_share)
    return torch.device("cuda")


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Compute with so many threads, and with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
