"""The coordinate-wise median (Yin et al. 2018, arXiv 1803.01498)."""

from __future__ import annotations

from typing import Literal

from server.strategies.rule import Aggregate, Given, Rule


class FedMedian(Rule):
    """The median of every number over the sites: fewer than half of them cannot move it out of the others' range."""

    name: Literal["fedmedian"] = "fedmedian"

    @property
    def least_updates(self) -> int:
        """Three: of two, the median is the mean."""
        return 3

    def aggregate(self, given: Given) -> Aggregate:
        """Return the median of the updates."""
        from server.flower import FlowerRule, combine

        return Aggregate(combine(FlowerRule("FedMedian"), given.round, given.ordered))
