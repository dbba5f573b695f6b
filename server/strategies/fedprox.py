"""FedProx (Li et al. 2020, arXiv 1812.06127)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedpsma.contract import TrainingPlan
from server.strategies.rule import MeanRule


class FedProx(MeanRule):
    """Federated averaging in which every site adds ``mu / 2 * |w - w0|^2`` to its objective."""

    name: Literal["fedprox"] = "fedprox"
    mu: float = Field(default=0.1, gt=0)

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the plan with the proximal term."""
        return plan.model_copy(update={"proximal_mu": self.mu})
