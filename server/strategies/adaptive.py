"""Adaptive server optimisers (Reddi et al. 2021, arXiv 2003.00295): the mean update is a gradient to Adam or Yogi."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fedpsma.contract import Schedule
from fedpsma.training.schedule import share_of_rate
from server.strategies.rule import Aggregate, Given, MeanRule, named, prefixed


class AdaptiveRule(MeanRule):
    """Common part of FedAdam and FedYogi.

    ``learning_rate`` is the server's, ``beta_1`` and ``beta_2`` are the decays of the first and second moment, and
    ``tau`` bounds how much a small second moment can enlarge a step: where the sites take single steps their updates
    are small, and it has to be smaller still. ``schedule`` is how the learning rate goes over the rounds.
    """

    FLOWER: ClassVar[str]

    learning_rate: float = Field(default=0.01, gt=0)
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.99, ge=0, lt=1)
    tau: float = Field(default=1e-3, gt=0)
    schedule: Schedule = "constant"

    def aggregate(self, given: Given) -> Aggregate:
        """Return the optimiser's step; the moments are kept for the next round."""
        from server.flower import FlowerRule, Moments, adapt

        rate = self.learning_rate * share_of_rate(self.schedule, given.round, given.plan.rounds)
        settings = {"eta": rate, "beta_1": self.beta_1, "beta_2": self.beta_2, "tau": self.tau}
        moments = Moments(named(given.memory, "m/"), named(given.memory, "v/"))
        step, after = adapt(FlowerRule(self.FLOWER, settings), given.round, self.mean(given), moments)
        return Aggregate(step, prefixed(after.first, "m/") | prefixed(after.second, "v/"))
