"""The coordinate-wise trimmed mean (Yin et al. 2018, arXiv 1803.01498)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from server.strategies.rule import Aggregate, Given, Rule


class TrimmedMean(Rule):
    """The mean of every number without the ``trimmed`` largest and as many smallest values.

    A number of sites, not a share: a fifth of four sites would trim nobody, and nobody would notice.
    """

    name: Literal["trimmed_mean"] = "trimmed_mean"
    trimmed: int = Field(default=1, ge=1)

    @property
    def least_updates(self) -> int:
        """One more than what is cut off."""
        return 2 * self.trimmed + 1

    def aggregate(self, given: Given) -> Aggregate:
        """Return the trimmed mean of the updates."""
        from server.flower import FlowerRule, combine

        # Flower cuts off the whole part of share times sites.
        share = (self.trimmed + 0.25) / len(given.updates)
        return Aggregate(combine(FlowerRule("FedTrimmedAvg", {"beta": share}), given.round, given.ordered))
