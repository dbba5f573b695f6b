"""Differentially private gradients, one patient at a time (Abadi et al. 2016, arXiv 1607.00133).

A patient gives one gradient, whatever the number of patches, and it is clipped as a whole. The loop over patients needs
the memory of one patient and is easy to audit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedpsma.contract import TrainingScope
from fedpsma.training.randomness import Randomness

ADAPTIVE_PARTS = ("tracer_film", "lesion_film", "voxel_head", "anatomy_head")


class TrainingDivergedError(RuntimeError):
    """A loss or gradient is not finite, so the round is given up."""


@dataclass(frozen=True)
class PrivateStep:
    """The mechanism of one step: clip to ``clip_norm``, add noise of ``noise_multiplier * clip_norm``, divide.

    ``expected_patients`` is the mean size of a Poisson draw. It divides instead of the drawn number, which is secret.
    A ``noise_multiplier`` of 0 gives no privacy; clipping then only keeps one patient from deciding the step.
    """

    clip_norm: float
    noise_multiplier: float
    expected_patients: float


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


def flat_gradient(loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the gradient of a scalar loss as one vector, in the order of ``parameters``.

    Raises:
        TrainingDivergedError: The loss or an element of the gradient is not finite.
    """
    gradients = torch.autograd.grad(loss, list(parameters))
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    if not bool(torch.isfinite(loss.detach())) or not bool(torch.isfinite(flat).all()):
        raise TrainingDivergedError("the loss or its gradient is not finite; lower the learning rate")
    return flat


def clipped(gradient: Tensor, norm: float) -> Tensor:
    """Scale a vector down to a Euclidean length of at most ``norm``.

    Example:
        >>> clipped(torch.tensor([3.0, 4.0]), 1.0).tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    length = float(gradient.double().norm())
    return gradient if length <= norm else gradient * (norm / length)


def private_gradient(
    gradients: Iterable[Callable[[], Tensor]], size: int, step: PrivateStep, randomness: Randomness
) -> Tensor:
    """Return the noisy mean gradient of one step, in float64.

    Args:
        gradients: One function for each drawn patient that computes the patient's flat gradient; none at all makes a
            step of noise alone.
        size: Length of the vectors.
        step: The mechanism.
        randomness: Where the noise comes from.
    """
    total = torch.zeros(size, dtype=torch.float64)
    for gradient in gradients:
        total += clipped(gradient(), step.clip_norm).cpu()
    noise = randomness.normal(size) * (step.noise_multiplier * step.clip_norm)
    return (total + noise) / step.expected_patients


def descend(parameters: Iterable[nn.Parameter], gradient: Tensor, learning_rate: float) -> None:
    """Take one step of gradient descent along a flat gradient."""
    offset = 0
    with torch.no_grad():
        for parameter in parameters:
            part = gradient[offset : offset + parameter.numel()].view_as(parameter)
            parameter.sub_(learning_rate * part.to(parameter))
            offset += parameter.numel()
