"""A bound of its own for every layer (McMahan et al. 2018, arXiv 1710.06963).

A layer whose gradient is long then no longer shortens those of all others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fedpsma.training.clipping.flat import shrink_to
from fedpsma.training.clipping.rule import Normal


@dataclass(frozen=True)
class PerLayerClipping:
    """Scale the gradient of each of L layers down to ``norm`` / sqrt(L), so that the whole is no longer than ``norm``.

    ``layer_of`` numbers the layer of every parameter, from 0 on.
    """

    norm: float
    layer_of: tuple[int, ...]
    gradient_share: float = 1.0

    @classmethod
    def of(cls, norm: float, names: Sequence[str]) -> PerLayerClipping:
        """Group parameters by the module they belong to: scale and shift, or weight and bias, are one layer.

        Example:
            >>> PerLayerClipping.of(1.0, ["stem.weight", "stem.bias", "head.weight"]).layer_of
            (0, 0, 1)
        """
        owners = [name.rpartition(".")[0] for name in names]
        order = {owner: number for number, owner in enumerate(dict.fromkeys(owners))}
        return cls(norm, tuple(order[owner] for owner in owners))

    def scales(self, lengths: Tensor) -> Tensor:
        """Return one factor for all parameters of a layer of a patient."""
        layer_of = torch.tensor(self.layer_of, device=lengths.device)
        layers = max(self.layer_of) + 1
        squares = lengths.new_zeros(layers, lengths.shape[1]).index_add(0, layer_of, lengths.square())
        return shrink_to(self.norm / math.sqrt(layers), squares.sqrt())[layer_of]

    def adapt(self, lengths: Tensor, noise_multiplier: float, expected_patients: float, normal: Normal) -> None:
        """Learn nothing."""
