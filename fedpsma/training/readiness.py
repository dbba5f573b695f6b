"""Whether a network can be trained privately: tried with one real backward step, not read off a list of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.losses import DenseTargets, dense_loss
from fedpsma.training.dp import select_parameters
from fedpsma.training.gradients.trial import trial_patients

_PATIENTS = 3
_REMEDY = "replace it with a layer that treats every patient alone, as GroupNorm does"
OnOutput = Callable[[str, Tensor], None]


def check_trainable(
    net: nn.Module, plan: TrainingPlan, *, channels: int = 5, tracers: int = 5, edge: int | None = None
) -> None:
    """Let a network make one forward and one backward step on random patches of three patients.

    Args:
        net: A network called with an image (batch, channels, x, y, z) and tracer mixtures (batch, tracers).
        plan: Gives the patch and which parameters are trained.
        channels: Channels of the image.
        tracers: Length of the tracer mixture.
        edge: Edge of the patches in voxels, where a smaller one than the plan's is enough to see what layers do.

    Raises:
        InputError: A module mixes patients or keeps statistics of them, the backward step fails, or a parameter of the
            plan's scope gets no gradient; the module is named.
    """
    device = next((parameter.device for parameter in net.parameters()), None)
    size = edge or plan.patch_voxels
    patients = trial_patients(_PATIENTS, 1, size, channels=channels, tracers=tracers, device=device)
    image, tracer = (torch.cat(tensors) for tensors in zip(*(one[:2] for one in patients), strict=True))
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
    """Find the first module whose output for a patient changes with another one in the batch."""
    buffers = {name: buffer.clone() for name, buffer in net.named_buffers()}
    before = _outputs(net, image, tracer)
    for name, buffer in net.named_buffers():
        if not torch.equal(buffer, buffers[name]):
            raise InputError("keeps statistics of patients", where=name.rpartition(".")[0], remedy=_REMEDY)
    for altered in range(_PATIENTS):
        others = [patient for patient in range(_PATIENTS) if patient != altered]
        image_now = image.clone()
        image_now[altered] = 3 * image[altered] + 1
        for (name, one), (_, two) in zip(before, _outputs(net, image_now, tracer), strict=True):
            if not torch.allclose(one[others], two[others], rtol=1e-4, atol=1e-5):
                # What a parent does by itself shows in the module that it calls next.
                what = "mixes the patients of a batch, or the code just before it does"
                raise InputError(what, where=name, remedy=_REMEDY)


def _outputs(net: nn.Module, image: Tensor, tracer: Tensor) -> list[tuple[str, Tensor]]:
    """Return what each module gives for the first, the second and the last patient, the inner modules first.

    A module may give several rows a patient; then it is one of his. Whatever the network draws at random, it draws the
    same at every call.
    """
    seen: list[tuple[str, Tensor]] = []

    def keep(name: str, output: Tensor) -> None:
        seen.append((name, output.detach()[[0, len(output) // 2, -1]].clone()))

    with torch.no_grad(), torch.random.fork_rng(devices=[]), _listening(net, keep):
        torch.manual_seed(0)
        net(image, tracer)
    return seen


@contextmanager
def _listening(net: nn.Module, on_output: OnOutput) -> Iterator[None]:
    """Be told every tensor that a module returns, with the module's name, as soon as it returns."""
    handles = []
    for name, module in net.named_modules():

        def tell(_: nn.Module, __: object, output: object, name: str = name) -> None:
            for tensor in output if isinstance(output, tuple | list) else (output,):
                if isinstance(tensor, Tensor) and tensor.dim():
                    on_output(name or type(net).__name__, tensor)

        handles.append(module.register_forward_hook(tell))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _gradients(
    net: nn.Module, image: Tensor, tracer: Tensor, parameters: dict[str, nn.Parameter]
) -> dict[str, Tensor | None]:
    outputs: list[tuple[str, Tensor]] = []
    shape = (len(image), *image.shape[2:])
    nothing = torch.zeros(shape, dtype=torch.int64, device=image.device)
    targets = DenseTargets(nothing, nothing)
    try:
        with _listening(net, lambda name, output: outputs.append((name, output))):
            loss = dense_loss(net(image, tracer), targets)
        found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise InputError(
            "cannot be trained: the backward step fails here or just before",
            where=_first_failing(outputs, list(parameters.values())) or type(net).__name__,
            remedy="avoid operations in place, here and on what goes in and out",
        ) from error
    return dict(zip(parameters, found, strict=True))


def _first_failing(outputs: list[tuple[str, Tensor]], parameters: list[nn.Parameter]) -> str | None:
    """Return the first module from whose output the backward step does not get to the parameters."""
    for name, output in outputs:
        if output.requires_grad:
            try:
                torch.autograd.grad(output.sum(), parameters, retain_graph=True, allow_unused=True)
            except RuntimeError:
                return name
    return None
