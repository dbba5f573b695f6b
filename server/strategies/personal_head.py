"""A personal head after FedPer (Arivazhagan et al. 2019, arXiv 1912.00818)."""

from __future__ import annotations

from typing import Literal

from fedpsma.contract import TrainingPlan
from server.strategies.rule import MeanRule


class PersonalHead(MeanRule):
    """Averaging of all but the voxel head, which each site trains for its own contours and scanner."""

    name: Literal["personal_head"] = "personal_head"

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the plan with a head that stays at the site."""
        return plan.model_copy(update={"kept_at_site": "head"})
