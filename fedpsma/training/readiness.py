"""Whether a network can be trained privately: tried with one real backward step, not read off a list of layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.losses import DenseTargets, dense_loss
from fedpsma.training.dp import select_parameters

_REMEDY = "replace it with a layer that treats every patient alone, as GroupNorm does"


def check_trainable(net: nn.Module, plan: TrainingPlan, *, channels: int = 5, tracers: int = 5) -> None:
    """Let a network make one forward and one backward step on random patches of two patients.

    Args:
        net: A network called with an image (batch, channels, x, y, z) and tracer mixtures (batch, tracers).
        plan: Gives the patch and which parameters are trained.
        channels: Channels of the image.
        tracers: Length of the tracer mixture.

    Raises:
        InputError: A module mixes patients or keeps statistics of them, the backward step fails, or a parameter of the
            plan's scope gets no gradient; the module is named.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, channels, *[plan.patch_voxels] * 3, generator=generator)
    tracer = torch.full((2, tracers), 1 / tracers)
    net.train()
    _require_patients_apart(net, image, tracer)
    parameters = select_parameters(net, plan.scope)
    if not parameters:
        raise InputError("no parameter is trained", where=f'scope "{plan.scope}"', remedy='use the scope "all"')
    gradients = _gradients(net, image, tracer, parameters)
    for name, gradient in gradients.items():
        if gradient is None or not bool(torch.isfinite(gradient).all()):
            raise InputError("gets no finite gradient", where=name, remedy="take it out of the network or of the scope")


def _require_patients_apart(net: nn.Module, image: Tensor, tracer: Tensor) -> None:
    """Find the first module whose output for one patient changes with the other patient of the batch."""
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    alone = _outputs_of_first(net, image, tracer)
    for name, buffer in net.named_buffers():
        if not torch.equal(buffer, buffers[name]):
            raise InputError("keeps statistics of patients", where=name.rpartition(".")[0], remedy=_REMEDY)
    other = image.clone()
    other[1] = 3 * image[1] + 1
    for (name, before), (_, after) in zip(alone, _outputs_of_first(net, other, tracer), strict=True):
        if not torch.allclose(before, after, rtol=1e-4, atol=1e-5):
            raise InputError("mixes the patients of a batch", where=name, remedy=_REMEDY)


def _outputs_of_first(net: nn.Module, image: Tensor, tracer: Tensor) -> list[tuple[str, Tensor]]:
    seen: list[tuple[str, Tensor]] = []
    handles = []
    for name, module in net.named_modules():
        if next(module.children(), None) is None:

            def keep(_: nn.Module, __: object, output: Tensor, name: str = name) -> None:
                seen.append((name, output.detach()[0].clone()))

            handles.append(module.register_forward_hook(keep))
    try:
        with torch.no_grad():
            net(image, tracer)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _gradients(
    net: nn.Module, image: Tensor, tracer: Tensor, parameters: dict[str, nn.Parameter]
) -> dict[str, Tensor | None]:
    logits = net(image, tracer)
    shape = (len(image), *image.shape[2:])
    targets = DenseTargets(torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64))
    try:
        found = torch.autograd.grad(dense_loss(logits, targets), list(parameters.values()), allow_unused=True)
    except RuntimeError as error:
        raise InputError(
            "cannot be trained: the backward step fails", where=type(net).__name__, remedy="avoid operations in place"
        ) from error
    return dict(zip(parameters, found, strict=True))
