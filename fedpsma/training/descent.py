"""How a site goes down along its noisy gradients. Whatever is made of these alone costs no further privacy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedpsma.contract import TrainingPlan
from fedpsma.training.schedule import share_of_rate

# Kingma and Ba 2015 propose 0.999; with it the mean square of a round of a few steps would be the first step's.
_ADAM_DECAYS = (0.9, 0.99)


@dataclass(frozen=True)
class Descent:
    """The steps of one round: plain gradient descent, or Adam (Kingma and Ba 2015, arXiv 1412.6980).

    Adam begins every round anew: its means would otherwise have to be kept at the site or to travel.
    """

    parameters: Sequence[nn.Parameter]
    rate: float
    adam: torch.optim.Optimizer | None

    @classmethod
    def of(cls, plan: TrainingPlan, parameters: Sequence[nn.Parameter], round_number: int) -> Descent:
        """Return the descent of a round of a plan."""
        rate = plan.learning_rate * share_of_rate(plan.schedule, round_number, plan.rounds)
        if plan.optimizer == "adam":
            return cls(parameters, rate, torch.optim.Adam(parameters, rate, betas=_ADAM_DECAYS))
        return cls(parameters, rate, None)

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Take one step along a flat gradient, one element for each of all parameters."""
        parts = torch.split(gradient, [parameter.numel() for parameter in self.parameters])
        for parameter, part in zip(self.parameters, parts, strict=True):
            along = part.view_as(parameter).to(parameter)
            if self.adam is None:
                # As torch.optim.SGD does, which loads a compiler for it: a second and a half at every start.
                parameter.add_(along, alpha=-self.rate)
            else:
                parameter.grad = along
        if self.adam is not None:
            self.adam.step()
            self.adam.zero_grad()
