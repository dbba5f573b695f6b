"""A bound that follows a quantile of the patients' gradient lengths (Andrew et al. 2021, arXiv 1905.03871).

Every step also asks how many of its patients were within the bound. The answer is noisy, and it is paid for: sum of
gradients and count are two halves of one Gaussian mechanism. In units of their noise, a patient moves the first by at
most 1 / z_g and the second by 1 / (2 s), because every patient counts as +1/2 or -1/2; both together are the mechanism
of noise multiplier z where 1 / z^2 = 1 / z_g^2 + 1 / (2 s)^2 (theorem 1 of the paper). So a ledger that was charged z
has been charged the whole step.

The paper fixes s at a twentieth of the patients of a step, which is below 1 where a hospital draws six of them, and
would cost more than there is. Here the count gets a fixed share of the precision instead: (2 s)^2 = z^2 / share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from fedpsma.contract import within_clip_norms
from fedpsma.training.clipping.flat import shrink_to, whole_length
from fedpsma.training.clipping.rule import Normal

COUNT_SHARE = 0.05
# The learning rate of the bound in the paper's experiments.
PACE = 0.2
# One step moves the bound by a factor e at most; where few patients are expected the noise would carry it anywhere.
# A limit alike in both directions leaves the bound at the quantile, which keeping the share in [0, 1] would not.
FARTHEST = 1.0


@dataclass
class AdaptiveClipping:
    """Flat clipping whose ``norm`` moves after every step towards a ``quantile`` of the patients' gradient lengths."""

    norm: float
    quantile: float
    gradient_share: float = 1 - COUNT_SHARE

    def scales(self, lengths: Tensor) -> Tensor:
        """Return the same factor for all parameters of a patient."""
        return shrink_to(self.norm, whole_length(lengths)).expand_as(lengths)

    def adapt(self, lengths: Tensor, noise_multiplier: float, expected_patients: float, normal: Normal) -> None:
        """Move the bound by the noisy share of patients that were within it; with nobody drawn, by noise alone.

        The share is that of the expected number of patients, for the drawn number is secret. What is made of it is
        limited, which costs nothing: it is noisy already.
        """
        votes = (whole_length(lengths) <= self.norm).double() - 0.5
        deviation = noise_multiplier / (2 * math.sqrt(1 - self.gradient_share))
        count = float(votes.sum()) + deviation * float(normal(1))
        move = -PACE * (count / expected_patients + 0.5 - self.quantile)
        self.norm = within_clip_norms(self.norm * math.exp(min(max(move, -FARTHEST), FARTHEST)))
