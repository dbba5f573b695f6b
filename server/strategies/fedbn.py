"""Local normalisation after FedBN (Li et al. 2021, arXiv 2102.07623), for networks with group normalisation."""

from __future__ import annotations

from typing import Literal

from fedpsma.contract import TrainingPlan
from server.strategies.rule import MeanRule


class FedBN(MeanRule):
    """Averaging of all but scale and shift of the normalisations, which each site keeps for itself."""

    name: Literal["fedbn"] = "fedbn"

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the plan with local normalisation."""
        return plan.model_copy(update={"kept_at_site": "normalisation"})
