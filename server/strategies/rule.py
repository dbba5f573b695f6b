"""What every strategy has in common: a description of itself, and the step it makes of a round's updates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fedpsma.contract import SecureAggregation, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Weights
from server.updates import Arrays


@dataclass(frozen=True)
class Given:
    """The checked replies of a round, and what the strategy kept from the round before.

    ``updates`` holds by site what it trained minus what it was sent, float64. ``patients`` are those the sites
    registered, ``sites`` counts the whole federation.
    """

    round: int
    plan: TrainingPlan
    updates: Mapping[str, Arrays]
    sites: int
    patients: Mapping[str, int | None] = field(default_factory=dict)
    memory: Arrays = field(default_factory=dict)

    @property
    def ordered(self) -> list[Arrays]:
        """The updates in the order of the sites' names, so that no sum depends on who answered first."""
        return [self.updates[site] for site in sorted(self.updates)]


@dataclass(frozen=True)
class Aggregate:
    """What is added to the weights, and the arrays that the strategy wants back in the next round."""

    step: Arrays
    memory: Arrays = field(default_factory=dict)


class Rule(BaseModel, ABC):
    """Base of the strategies; the fields of each are its settings, and none of them is infinite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @property
    def least_updates(self) -> int:
        """How many valid updates a round needs for what the strategy promises."""
        return 1

    def without(self, bad: int) -> Self:
        """Return the strategy for a round in which so many bad updates have been set aside already."""
        return self

    @property
    def needs_each_update(self) -> bool:
        """Whether the strategy looks at single updates, so that their mean is not enough."""
        return True

    def require_hideable(self, secure: SecureAggregation | None) -> None:
        """Raise InputError where secure aggregation would hide what the strategy needs."""
        name = str(getattr(self, "name", type(self).__name__))
        if secure is not None and self.needs_each_update:
            raise InputError(
                f"{name} looks at each site's update, which secure aggregation hides",
                where="strategy",
                remedy="take fedavg, fedprox, fedadam or fedyogi, or leave secure aggregation out",
            )

    def require_counts(self, patients: Mapping[str, int | None], secure: SecureAggregation | None) -> None:
        """Raise InputError where sites would count by numbers of patients that they did not register."""

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the plan with what the strategy asks of the sites."""
        return plan

    def sent(self, plan: TrainingPlan, weights: Weights, memory: Arrays) -> Arrays:
        """Return the arrays that go to the sites beside the weights."""
        return {}

    @abstractmethod
    def aggregate(self, given: Given) -> Aggregate:
        """Return the step of a round."""


class MeanRule(Rule):
    """A strategy that needs the mean of the updates only, never one by itself.

    ``weighting`` "patients" counts a site by the patients it registered, "equal" every site once: differential privacy
    does not cover the numbers of patients.
    """

    weighting: Literal["equal", "patients"] = "equal"

    @property
    def needs_each_update(self) -> bool:
        """No: the mean is all."""
        return False

    def require_hideable(self, secure: SecureAggregation | None) -> None:
        """Raise InputError where sites would count otherwise under secure aggregation than without."""
        super().require_hideable(secure)
        if secure is not None and (self.weighting == "patients") != (secure.most_patients is not None):
            raise InputError(
                "under secure aggregation each site weighs itself",
                where="weighting",
                remedy='give most_patients together with weighting = "patients", or neither',
            )

    def require_counts(self, patients: Mapping[str, int | None], secure: SecureAggregation | None) -> None:
        """Raise InputError where a site without a number would count for nothing; a hidden site weighs itself."""
        unknown = [site for site, number in sorted(patients.items()) if not number]
        if unknown and self.weighting == "patients" and secure is None:
            raise InputError(
                'registered no number of patients, which weighting = "patients" needs',
                where=", ".join(unknown),
                remedy='take weighting = "equal", or ask the others only',
            )

    def mean(self, given: Given) -> Arrays:
        """Return the weighted mean of the updates, by Flower's FedAvg.

        One update after the other joins the mean of those before it, so that hundreds need the memory of two.

        Raises:
            InputError: A site would count by its patients and registered no number.
        """
        from server.flower import FlowerRule, combine

        shares = self._shares(given)
        whole, joined = given.ordered[0], shares[0]
        for update, share in zip(given.ordered[1:], shares[1:], strict=True):
            whole = combine(FlowerRule("FedAvg"), given.round, [whole, update], [joined, share])
            joined += share
        return dict(whole)

    def _shares(self, given: Given) -> list[float]:
        if self.weighting == "equal" or given.plan.secure_aggregation is not None:
            return [1.0] * len(given.updates)
        counts = {site: given.patients.get(site) for site in sorted(given.updates)}
        self.require_counts(counts, None)
        return [float(number) for number in counts.values() if number]

    def aggregate(self, given: Given) -> Aggregate:
        """Return the mean of the updates."""
        return Aggregate(self.mean(given))


def named(arrays: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names start with a prefix, without it.

    Example:
        >>> import numpy as np
        >>> list(named({"m/a": np.zeros(1), "v/a": np.zeros(1)}, "m/"))
        ['a']
    """
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def prefixed(arrays: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    """Return the arrays with a prefix before their names."""
    return {f"{prefix}{name}": array for name, array in arrays.items()}
