"""What every kind of clipping decides, and which kinds there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from fedpsma.contract import TrainingPlan

# Standard normal numbers as float64, so many of them.
Normal = Callable[[int], Tensor]


class Clipping(Protocol):
    """How the gradients of patients are scaled down before they are added up.

    A rule sees lengths only: the Euclidean length of each parameter's gradient, (parameters, patients) in float64.
    ``norm`` is the most that one patient adds to the sum, in Euclidean length. ``gradient_share`` is the share of the
    step's precision, 1 / noise_multiplier ** 2, that goes to the sum of gradients; what is left pays for what the rule
    itself asks of the patients.
    """

    @property
    def norm(self) -> float:
        """Longest contribution of one patient."""
        ...

    @property
    def gradient_share(self) -> float:
        """Share of the precision of a step that the gradients get, above 0 and at most 1."""
        ...

    def scales(self, lengths: Tensor) -> Tensor:
        """Return the factor of each parameter's gradient, (parameters, patients), from their lengths."""
        ...

    def adapt(self, lengths: Tensor, noise_multiplier: float, expected_patients: float, normal: Normal) -> None:
        """Learn from a step whose patients had these lengths, with noise of its own."""
        ...


def clipping_of(plan: TrainingPlan, names: Sequence[str]) -> Clipping:
    """Return the clipping that a plan asks for, fresh at the plan's clip norm.

    Args:
        plan: The plan.
        names: Names of the trained parameters, in their order.
    """
    if plan.clipping == "per_layer":
        from fedpsma.training.clipping.per_layer import PerLayerClipping

        return PerLayerClipping.of(plan.clip_norm, names)
    if plan.clipping == "adaptive":
        from fedpsma.training.clipping.adaptive import AdaptiveClipping

        return AdaptiveClipping(plan.clip_norm, plan.clip_quantile)
    from fedpsma.training.clipping.flat import FlatClipping

    return FlatClipping(plan.clip_norm)
