"""Why the network suspects a lesion: integrated gradients of its pooled probability.

Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks" (ICML 2017, arXiv 1703.01365). The path starts
from a slab without a patient (no uptake, air), which the network knows from the edges of its slabs. On it the uptake
grows evenly on the scale log(1 + SUV), and the CT evenly within the network's window, so that every point of the path
is an image of its own. The probability rises on a short part of that path. So the path is cut into sections, whose
shares are known to sum to the change of the probability; where they miss it, more steps are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from torch import Tensor, nn

from fedpsma.domain.saliency import Saliency
from fedpsma.domain.study import Affine, Study
from fedpsma.model.config import SUSPICIOUS, NetworkConfig
from fedpsma.model.inference import padded, slab_starts, slabs
from fedpsma.model.inputs import CT_HALF_WINDOW_HU, GridStudy, image_of, to_grid
from fedpsma.model.network import LesionNet

COMPLETENESS = 0.02
"""How far the shares may miss the probability that they explain, as a difference of probabilities."""

_PROBES, _STEPS, _MOST_STEPS = 4, 8, 48

OnStep = Callable[[int, int], None]
# The uptake as log(1 + SUV) and, where there is one, the CT in HU: each (batch, x, y, z).
_Images = tuple[Tensor, ...]


def explain(net: LesionNet, study: Study, core: NDArray[np.bool_], on_step: OnStep | None = None) -> Saliency:
    """Say how much every voxel of PET and CT adds to the suspicion of one lesion.

    The suspicion is that of the slab of :func:`fedpsma.model.inference.predict` in whose middle the lesion lies most,
    and equals that of the whole prediction unless the lesion lies where two slabs overlap.

    Args:
        net: The network; its weights are not changed.
        study: PET, with a CT and a tracer where known.
        core: (x, y, z) on the PET grid: the voxels whose mean probability is explained.
        on_step: Called with (steps done, steps in all) as the work goes on.

    Raises:
        ValueError: ``core`` is empty.
    """
    if not core.any():
        raise ValueError("there is no voxel to explain")
    grid = to_grid(study, net.config)
    slab = _slab(grid, _pooling_weights(core, grid), net.config)
    path = _Path(net.eval(), slab, grid.tracer, on_step)
    levels = path.levels()
    shares = path.shares(levels)
    return Saliency(
        pet=torch.expm1(slab.uptake).numpy(),
        ct=None if slab.ct is None else slab.ct.numpy(),
        pooled=slab.weights.numpy() > 0,
        pet_share=shares[0],
        ct_share=None if slab.ct is None else shares[1],
        affine=_affine(study, grid, slab.start),
        suspicion=levels[1.0],
        baseline=levels[0.0],
    )


@dataclass(frozen=True)
class _Slab:
    """What the network sees, all (x, y, z) on the working grid: log(1 + SUV), HU within its window, pooling weights.

    ``weights`` sum to one; ``start`` is the first axial level of the slab in the cropped working grid.
    """

    uptake: Tensor
    ct: Tensor | None
    weights: Tensor
    start: int


@dataclass(frozen=True)
class _Section:
    """A part of the path, the shares of the inputs in it (x, y, z), and how far they miss the change of suspicion."""

    low: float
    high: float
    steps: int
    shares: _Images
    missed: float


class _Path:
    """The straight way from a slab without a patient to the slab as it is."""

    def __init__(self, net: LesionNet, slab: _Slab, tracer: Tensor, on_step: OnStep | None) -> None:
        self.net, self.on_step = net, on_step
        self.done, self.planned = 0, 2 + _PROBES + _STEPS
        device = next(net.parameters()).device
        ends = (slab.uptake,) if slab.ct is None else (slab.uptake, slab.ct)
        self.end: _Images = tuple(one[None].to(device) for one in ends)
        self.tracer, self.weights = tracer[None].to(device), slab.weights.to(device)

    def levels(self) -> dict[float, float]:
        """Return the suspicion at places of the path (0 to 1), the denser the more it changes there."""
        with torch.no_grad():
            found = {place: float(self._suspicion(*self._at(place))) for place in (0.0, 1.0)}
            for _ in range(_PROBES):
                ends = pairwise(sorted(found))
                low, high = max(ends, key=lambda pair: abs(found[pair[1]] - found[pair[0]]))
                middle = (low + high) / 2
                found[middle] = float(self._suspicion(*self._at(middle)))
        return {place: found[place] for place in sorted(found)}

    def shares(self, levels: dict[float, float]) -> list[NDArray[np.float32]]:
        """Add up the integrated gradients of the sections between ``levels``, refining the worst until they suffice."""
        shared_out = zip(pairwise(levels), steps_by_change(list(levels.values()), _STEPS), strict=True)
        sections = [self._section(low, high, steps, levels) for (low, high), steps in shared_out]
        while abs(sum(one.missed for one in sections)) > COMPLETENESS and self.done < _MOST_STEPS:
            worst = max(sections, key=lambda one: abs(one.missed))
            self.planned += 2 * worst.steps
            refined = self._section(worst.low, worst.high, 2 * worst.steps, levels)
            sections = [refined if one is worst else one for one in sections]
        parts = zip(*(one.shares for one in sections), strict=True)
        return [torch.stack(part).sum(dim=0)[0].float().cpu().numpy() for part in parts]

    def _section(self, low: float, high: float, steps: int, levels: dict[float, float]) -> _Section:
        shares = IntegratedGradients(self._suspicion).attribute(
            self._at(high), self._at(low), n_steps=steps, method="gausslegendre", internal_batch_size=1
        )
        given = sum(float(one.sum(dtype=torch.float64)) for one in shares)
        return _Section(low, high, steps, shares, levels[high] - levels[low] - given)

    def _at(self, share: float) -> _Images:
        uptake, *ct = self.end
        return (share * uptake, *(share * (one + CT_HALF_WINDOW_HU) - CT_HALF_WINDOW_HU for one in ct))

    def _suspicion(self, uptake: Tensor, ct: Tensor | None = None) -> Tensor:
        image = image_of(torch.expm1(uptake), ct).transpose(0, 1)
        probability = torch.softmax(self.net(image, self.tracer).voxel, dim=1)[:, SUSPICIOUS]
        self.done += 1
        if self.on_step is not None:
            self.on_step(self.done, self.planned)
        return (probability * self.weights).sum(dim=(1, 2, 3))


def steps_by_change(levels: list[float], steps: int) -> list[int]:
    """Share steps out among the sections between ``levels``: one each, the others by how much the level changes.

    Example:
        >>> steps_by_change([0.0, 0.0, 0.9, 1.0], 13)
        [1, 10, 2]
    """
    changes = np.array([abs(high - low) for low, high in pairwise(levels)]) + 1e-6
    reached = np.round(np.cumsum(changes) / changes.sum() * (steps - len(changes))).astype(int)
    return [1 + int(more) for more in np.diff(reached, prepend=0)]


def _pooling_weights(core: NDArray[np.bool_], grid: GridStudy) -> Tensor:
    """Return how much each voxel of the cropped working grid counts in the mean over ``core`` on the PET grid."""
    whole = torch.zeros(grid.whole, requires_grad=True)
    on_pet = nn.functional.interpolate(whole[None, None], size=core.shape, mode="trilinear", align_corners=False)
    (weights,) = torch.autograd.grad(on_pet[0, 0][torch.from_numpy(core)].mean(), whole)
    return weights[tuple(slice(at, at + size) for at, size in zip(grid.corner, grid.pet.shape, strict=True))]


def _slab(grid: GridStudy, weights: Tensor, config: NetworkConfig) -> _Slab:
    """Cut the slab in whose middle the lesion lies most."""
    levels = grid.pet.shape[2]
    depth, count = slabs(levels, config)
    middle = float((weights.sum(dim=(0, 1)) * torch.arange(levels)).sum() / weights.sum())
    start = min(slab_starts(levels, depth, count), key=lambda first: abs(first + (depth - 1) / 2 - middle))
    pet, ct = (None if one is None else one[..., start : start + depth].float() for one in padded(grid, depth, config))
    assert pet is not None
    part = torch.zeros_like(pet)
    inside = weights[..., start : start + depth]
    part[tuple(slice(size) for size in inside.shape)] = inside / inside.sum()
    limited = None if ct is None else ct.clamp(-CT_HALF_WINDOW_HU, CT_HALF_WINDOW_HU)
    return _Slab(torch.log1p(pet), limited, part, start)


def _affine(study: Study, grid: GridStudy, start: int) -> Affine:
    """Return the affine of the slab: the working grid spans the same field of view as the PET."""
    x, y, z = grid.corner
    ratio = np.array(study.pet.shape) / np.array(grid.whole)
    step = np.diag([*ratio, 1.0])
    step[:3, 3] = (np.array([x, y, z + start]) + 0.5) * ratio - 0.5
    affine: Affine = study.affine @ step
    return affine
