"""The private step: clip every patient, add up, add noise (Abadi et al. 2016, arXiv 1607.00133).

The patient is the unit: he gives one gradient, whatever the number of patches, and it is clipped as a whole.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedpsma.contract import TrainingScope
from fedpsma.training.clipping.rule import Clipping
from fedpsma.training.gradients.engine import Block
from fedpsma.training.gradients.engine import TrainingDivergedError as TrainingDivergedError
from fedpsma.training.randomness import Randomness

_LOG = logging.getLogger(__name__)
ADAPTIVE_PARTS = ("tracer_film", "lesion_film", "voxel_head", "anatomy_head")


@dataclass(frozen=True)
class PrivateStep:
    """The mechanism of one step: clip, add noise of ``noise_multiplier`` times the clip norm, divide.

    ``expected_patients`` is the mean size of a Poisson draw. It divides instead of the drawn number, which is secret.
    A ``noise_multiplier`` of 0 gives no privacy; clipping then only keeps one patient from deciding the step.
    """

    clipping: Clipping
    noise_multiplier: float
    expected_patients: float

    @property
    def noise(self) -> float:
        """Standard deviation of the noise on the sum of gradients."""
        return self.noise_multiplier * self.clipping.norm / math.sqrt(self.clipping.gradient_share)


def select_parameters(net: nn.Module, scope: TrainingScope) -> dict[str, nn.Parameter]:
    """Return the parameters that ``scope`` trains and freeze all others, so that no gradient is computed for them.

    "adaptive" stands for the heads, the tracer conditioning, and scale and shift of every normalisation.
    """
    normalisation = {
        f"{name}.{own}"
        for name, module in net.named_modules()
        if isinstance(module, nn.GroupNorm)
        for own, _ in module.named_parameters(recurse=False)
    }
    chosen = {}
    for name, parameter in net.named_parameters():
        wanted = scope == "all" or name in normalisation or name.split(".")[0] in ADAPTIVE_PARTS
        parameter.requires_grad_(wanted)
        if wanted:
            chosen[name] = parameter
    return chosen


def draw_patients(patients: int, rate: float, randomness: Randomness) -> list[int]:
    """Draw each of so many patients with probability ``rate``; the draw may be empty (Poisson sampling)."""
    return torch.nonzero(randomness.uniform(patients) < rate).ravel().tolist()


def private_gradient(blocks: Iterable[Block], size: int, step: PrivateStep, randomness: Randomness) -> Tensor:
    """Return the noisy mean gradient of one step as one float64 vector in main memory; then the clipping adapts.

    With noise, a patient whose gradient is not finite adds nothing: to give the round up would tell, of a patient whom
    the weights were made to overflow on, that he was drawn.

    Args:
        blocks: The gradients of the drawn patients, some patients a block; none at all makes a step of noise alone.
        size: Length of the vector: the elements of all parameters.
        step: The mechanism.
        randomness: Where the noise comes from.

    Raises:
        TrainingDivergedError: An element of a gradient is not finite, in a step without noise.
        ValueError: A step with noise has none, or an infinite one, at the bound that clipping has; no patient was
            looked at.
    """
    if step.noise_multiplier and not 0 < step.noise < math.inf:
        raise ValueError(f"noise of {step.noise:g} protects nobody: the clip norm is {step.clipping.norm:g}")
    total = torch.zeros(size, dtype=torch.float64)
    seen = []
    for block in blocks:
        lengths = patient_lengths(block)
        finite = torch.isfinite(lengths).all(dim=0)
        if not bool(finite.all()):
            if not step.noise_multiplier:
                raise TrainingDivergedError("a gradient is not finite; lower the learning rate")
            block, lengths = _without(block, ~finite), lengths.masked_fill(~finite, 0.0)
        scales = step.clipping.scales(lengths).masked_fill(~finite, 0.0)
        total += clipped_sum(block, scales).cpu()
        seen.append(lengths.cpu())
    total += randomness.normal(size) * step.noise
    everyone = torch.cat(seen, dim=1) if seen else torch.zeros(1, 0, dtype=torch.float64)
    step.clipping.adapt(everyone, step.noise_multiplier, step.expected_patients, randomness.normal)
    return total / step.expected_patients


def _without(block: Block, patients: Tensor) -> Block:
    """Return a block in which some patients add nothing."""
    _LOG.warning("%d patients of a step have gradients that are not finite", int(patients.sum()))
    return [part.masked_fill(patients.view(-1, *[1] * (part.dim() - 1)), 0.0) for part in block]


def patient_lengths(block: Block) -> Tensor:
    """Return the Euclidean length of each parameter's gradient, (parameters, patients) in float64."""
    return torch.stack([torch.linalg.vector_norm(part.flatten(1), dim=1, dtype=torch.float64) for part in block])


def clipped_sum(block: Block, scales: Tensor) -> Tensor:
    """Add up the gradients of a block's patients, each scaled by (parameters, patients), as one float64 vector."""
    return torch.cat([scale @ part.flatten(1).double() for scale, part in zip(scales, block, strict=True)])
