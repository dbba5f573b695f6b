"""SCAFFOLD (Karimireddy et al. 2020, arXiv 1910.06378), with option II for the control variates."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from fedpsma.contract import CONTROL, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Weights
from server.strategies.rule import Aggregate, Given, MeanRule, named, prefixed
from server.updates import Arrays


class Scaffold(MeanRule):
    """Averaging of updates whose every step was corrected by the common control variate minus the site's own.

    A site's own variate stays at the site. Its change follows from the update that the site released anyway, so it is
    not sent: ``c_i' - c_i = -c - update / (steps * local learning rate)``. Under differential privacy all of it is
    computed from released numbers and costs nothing.

    The order says which of its updates counted last, and the site goes on from the variate of that round, so that the
    common one stays the mean of the sites' own where an update was set aside or came late.
    """

    name: Literal["scaffold"] = "scaffold"
    learning_rate: float = Field(default=1.0, gt=0)

    @property
    def needs_each_update(self) -> bool:
        """Yes: the common control variate follows by how many sites took part, and a second mean would be needed."""
        return True

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the plan with control variates.

        Raises:
            InputError: The plan asks for other steps than plain ones of a constant length.
        """
        if plan.optimizer != "sgd" or plan.schedule != "constant":
            remedy = "use optimizer sgd and schedule constant, or another strategy"
            raise InputError("needs plain gradient descent at a constant rate", where="scaffold", remedy=remedy)
        return plan.model_copy(update={"control_variates": True})

    def sent(self, plan: TrainingPlan, weights: Weights, memory: Arrays) -> Arrays:
        """Return the common control variate, zero before the first round."""
        known = named(memory, CONTROL)
        variate = {name: known.get(name, np.zeros(array.shape)) for name, array in weights.items()}
        return prefixed({name: array.astype(np.float32) for name, array in variate.items()}, CONTROL)

    def aggregate(self, given: Given) -> Aggregate:
        """Return the mean update; the common variate follows by the share of the sites that took part."""
        mean, before = self.mean(given), named(given.memory, CONTROL)
        pace = given.plan.steps_per_round * given.plan.learning_rate
        share = len(given.updates) / given.sites
        after = {
            name: (1 - share) * before.get(name, np.zeros(change.shape)) - share * change / pace
            for name, change in mean.items()
        }
        step = {name: self.learning_rate * change for name, change in mean.items()}
        return Aggregate(step, prefixed(after, CONTROL))
