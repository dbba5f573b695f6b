"""What a plan adds to every step of a site beside its patients' gradients.

Both terms are computed from weights that were released already and from numbers of the server, so they are added after
clipping and noise, and cost no privacy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedpsma.model.checkpoint import Weights


@dataclass(frozen=True)
class Steering:
    """The proximal pull towards where the round began, and a correction of constant direction.

    ``anchor`` holds the parameters at the start of the round and ``correction`` what is added to each gradient, both as
    one float64 vector in the order of the parameters; ``correction`` is ``None`` without control variates.
    """

    proximal_mu: float
    anchor: Tensor
    correction: Tensor | None

    @classmethod
    def of(
        cls, parameters: Mapping[str, nn.Parameter], proximal_mu: float, correction: Weights | None = None
    ) -> Steering:
        """Remember where the parameters are now; ``correction`` holds arrays by parameter name."""
        vector = None
        if correction is not None:
            vector = torch.cat([torch.as_tensor(correction[name]).double().reshape(-1) for name in parameters])
        return cls(proximal_mu, flat(list(parameters.values())), vector)

    def added_to(self, gradient: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
        """Return a gradient with that of ``mu / 2 * |w - anchor|^2`` and with the correction."""
        if self.proximal_mu:
            gradient = gradient + self.proximal_mu * (flat(parameters) - self.anchor)
        return gradient if self.correction is None else gradient + self.correction


def flat(parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return parameters as one float64 vector in main memory."""
    return torch.cat([parameter.detach().double().cpu().reshape(-1) for parameter in parameters])
