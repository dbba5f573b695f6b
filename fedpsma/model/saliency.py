"""Why the network suspects a lesion: integrated gradients of its pooled probability.

Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks" (ICML 2017, arXiv 1703.01365). The path starts
from a window without a patient (no uptake, air), which the network knows from the edges of its windows. On it the
uptake grows evenly on the scale log(1 + SUV) and the CT evenly within its window, so that every point of the path is
itself an image, and half of the steps are not spent on uptake that all channels cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from torch import Tensor, nn

from fedpsma.domain.saliency import Saliency
from fedpsma.domain.study import Affine, Study
from fedpsma.model.config import SUSPICIOUS, NetworkConfig
from fedpsma.model.inputs import AIR_HU, CT_HALF_WINDOW_HU, GridStudy, image_of, to_grid
from fedpsma.model.network import LesionNet

COMPLETENESS = 0.02
"""How far the shares may miss the probability that they explain."""

WINDOW_VOXELS = 64
_STEPS = (16, 32, 64)

OnStep = Callable[[int, int], None]
Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class _Scene:
    """The window on the working grid: log(1 + SUV), windowed HU and pooling weights, all (x, y, z)."""

    uptake: Tensor
    ct: Tensor | None
    weights: Tensor
    tracer: Tensor
    affine: Affine


def explain(
    net: LesionNet, study: Study, core: NDArray[np.bool_], on_step: OnStep | None = None, *, steps: int
) -> Saliency:
    grid = to_grid(study, net.config)
    scene = _scene(study, core, grid, net.config)
    inputs = (scene.uptake[None],) if scene.ct is None else (scene.uptake[None], scene.ct[None])
    baselines = tuple(torch.full_like(one, value) for one, value in zip(inputs, (0.0, -CT_HALF_WINDOW_HU), strict=False))

    def pooled(uptake: Tensor, ct: Tensor | None = None) -> Tensor:
        image = image_of(torch.expm1(uptake), ct).transpose(0, 1)
        logits = net(image, scene.tracer.expand(len(image), -1))
        return (torch.softmax(logits.voxel, 1)[:, SUSPICIOUS] * scene.weights).sum(dim=(1, 2, 3))

    with torch.no_grad():
        suspicion, baseline = float(pooled(*inputs)), float(pooled(*baselines))
    shares = IntegratedGradients(pooled, multiply_by_inputs=True).attribute(
        inputs, baselines, n_steps=steps, method="gausslegendre", internal_batch_size=2
    )
    found = [one[0].float().numpy() for one in shares]
    return Saliency(
        pet=torch.expm1(scene.uptake).numpy(), ct=None if scene.ct is None else scene.ct.numpy(),
        pooled=scene.weights.numpy() > 0, pet_share=found[0], ct_share=found[1] if len(found) > 1 else None,
        affine=scene.affine, suspicion=suspicion, baseline=baseline, steps=steps)


def _scene(study: Study, core: NDArray[np.bool_], grid: GridStudy, config: NetworkConfig) -> _Scene:
    weights = _pooling_weights(core, grid)
    window = _window(weights, grid.pet.shape, config.stride)

    def cut(volume: Tensor, outside: float) -> Tensor:
        inside = volume[window].float()
        pad = [more for side, size in zip(reversed(window), reversed(inside.shape)) for more in (0, side.stop - side.start - size)]
        return nn.functional.pad(inside, pad, value=outside)

    ct = None if grid.ct is None else cut(grid.ct, AIR_HU).clamp(-CT_HALF_WINDOW_HU, CT_HALF_WINDOW_HU)
    corner = [start + side.start for start, side in zip(grid.corner, window, strict=True)]
    return _Scene(torch.log1p(cut(grid.pet, 0.0)), ct, cut(weights, 0.0), grid.tracer, _affine(study, grid.whole, corner))


def _pooling_weights(core: NDArray[np.bool_], grid: GridStudy) -> Tensor:
    whole = torch.zeros(grid.whole, requires_grad=True)
    on_pet = whole if core.shape == grid.whole else nn.functional.interpolate(
        whole[None, None], size=core.shape, mode="trilinear", align_corners=False)[0, 0]
    (weights,) = torch.autograd.grad(on_pet[torch.from_numpy(core)].mean(), whole)
    return weights[tuple(slice(start, start + size) for start, size in zip(grid.corner, grid.pet.shape, strict=True))]


def _window(weights: Tensor, shape, stride: int) -> Window:
    sides = []
    for axis, size in enumerate(shape):
        line = weights.sum(dim=[other for other in range(3) if other != axis])
        middle = float((line * torch.arange(size)).sum() / line.sum())
        edge = min(WINDOW_VOXELS, -(-size // stride) * stride)
        start = min(max(round(middle) - edge // 2, 0), max(size - edge, 0))
        sides.append(slice(start, start + edge))
    return tuple(sides)


def _affine(study: Study, whole, corner) -> Affine:
    ratio = np.array(study.pet.shape) / np.array(whole)
    step = np.diag([*ratio, 1.0])
    step[:3, 3] = (np.array(corner) + 0.5) * ratio - 0.5
    return study.affine @ step
