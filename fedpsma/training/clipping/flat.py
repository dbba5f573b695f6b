"""One bound for the whole gradient of a patient (Abadi et al. 2016, arXiv 1607.00133)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fedpsma.training.clipping.rule import Normal


@dataclass(frozen=True)
class FlatClipping:
    """Scale a patient's gradient down to a length of at most ``norm``."""

    norm: float
    gradient_share: float = 1.0

    def scales(self, lengths: Tensor) -> Tensor:
        """Return the same factor for all parameters of a patient.

        Example:
            >>> import torch
            >>> FlatClipping(1.0).scales(torch.tensor([[3.0, 0.3], [4.0, 0.4]])).tolist()
            [[0.20000000298023224, 1.0], [0.20000000298023224, 1.0]]
        """
        return shrink_to(self.norm, whole_length(lengths)).expand_as(lengths)

    def adapt(self, lengths: Tensor, noise_multiplier: float, expected_patients: float, normal: Normal) -> None:
        """Learn nothing."""


def whole_length(lengths: Tensor) -> Tensor:
    """Return the length of each patient's whole gradient from those of its parts (parts, patients)."""
    return lengths.square().sum(0).sqrt()


def shrink_to(norm: float, lengths: Tensor) -> Tensor:
    """Return the factors that make vectors of these lengths no longer than ``norm``."""
    factors: Tensor = norm / lengths.clamp(min=norm)
    return factors
