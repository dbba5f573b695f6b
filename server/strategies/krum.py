"""Krum (Blanchard et al. 2017, arXiv 1703.02757)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from server.strategies.rule import Aggregate, Given, Rule


class KrumRule(Rule):
    """Common part of Krum and Multi-Krum; ``malicious`` is the number of bad sites to be withstood."""

    malicious: int = Field(default=1, ge=1)

    @property
    def least_updates(self) -> int:
        """2 f + 3, below which the proof of the paper does not hold."""
        return 2 * self.malicious + 3

    def without(self, bad: int) -> Self:
        """Return the rule that withstands so many fewer: with them, an attacker who is caught would end the run."""
        return self.model_copy(update={"malicious": max(0, self.malicious - bad)})

    def selected(self, updates: int) -> int:
        """Return how many updates are averaged."""
        return 1

    def aggregate(self, given: Given) -> Aggregate:
        """Return the mean of the updates that lie nearest to their neighbours.

        Distances are those of the updates: between whole models they would drown in rounding.
        """
        from server.flower import FlowerRule, combine

        chosen = self.selected(len(given.updates))
        settings = {"num_malicious_nodes": self.malicious, "num_nodes_to_select": chosen}
        return Aggregate(combine(FlowerRule("MultiKrum", settings), given.round, given.ordered))


class Krum(KrumRule):
    """The one update that lies nearest to its neighbours."""

    name: Literal["krum"] = "krum"
