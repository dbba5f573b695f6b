"""All patients in one forward and one backward step, which hands every layer's backpropagation to its sampler.

The trained parameters themselves are frozen meanwhile, so that autograd does not compute a gradient of the whole batch
that nobody wants. Hooks sit on the outputs of layers, not on modules as in Opacus, so that later layers may work in
place where autograd itself allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from fedpsma.model.losses import DenseTargets
from fedpsma.model.network import DenseLogits
from fedpsma.training.gradients.engine import Block, Trainee
from fedpsma.training.gradients.layers import layer_gradients
from fedpsma.training.patches import PatchBatch


class NotSeparableError(RuntimeError):
    """A layer whose patients cannot be told apart in one backward step; the message names it."""


def grouped_gradients(trainee: Trainee, patients: Sequence[PatchBatch]) -> Block:
    """Return the gradients of patients, (patients, *shape) for each parameter, with one backward step for all.

    Raises:
        NotSeparableError: A layer does not allow it; the loop does.
    """
    watch = _Watch(len(patients), {id(parameter) for parameter in trainee.parameters})
    with _frozen(trainee.parameters), watch.over(trainee.net):
        image, tracer = (_interleaved(batches) for batches in zip(*(patient[:2] for patient in patients), strict=True))
        logits = trainee.net(image, tracer)
    losses = torch.stack([trainee.loss(*pair) for pair in _apart(logits, patients)])
    torch.autograd.grad(losses.sum(), watch.roots)
    missing = [parameter for parameter in trainee.parameters if id(parameter) not in watch.found]
    if missing:
        raise NotSeparableError(f"no layer accounts for a parameter of shape {tuple(missing[0].shape)}")
    return [watch.found[id(parameter)] for parameter in trainee.parameters]


@dataclass
class _Watch:
    """Gradients by the identity of their parameter, and the outputs at which the graph begins."""

    patients: int
    wanted: set[int]
    found: dict[int, Tensor] = field(default_factory=dict)
    roots: list[Tensor] = field(default_factory=list)

    @contextmanager
    def over(self, net: nn.Module) -> Iterator[None]:
        handles = []
        for name, module in net.named_modules():
            if self.wanted & {id(parameter) for parameter in module.parameters(recurse=False)}:
                handles.append(module.register_forward_hook(self._hook(name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def seen(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if len(inputs) != 1 or not isinstance(output, Tensor) or next(layer.children(), None) is not None:
                raise NotSeparableError(f"{name}: not a single layer from one tensor to one tensor")
            if not output.requires_grad:
                self.roots.append(output.requires_grad_())
            version = inputs[0]._version
            # A list, so that the input can be let go when its layer is done.
            kept = [inputs[0].detach()]

            def collect(backprop: Tensor) -> None:
                activation = kept.pop()
                if activation._version != version:
                    raise NotSeparableError(f"{name}: what went into it was changed in place afterwards")
                self._add(name, layer, activation, backprop)

            output.register_hook(collect)  # type: ignore[no-untyped-call]

        return seen

    def _add(self, name: str, layer: nn.Module, activation: Tensor, backprop: Tensor) -> None:
        try:
            gradients = layer_gradients(layer, activation, backprop, self.patients)
        except (NotImplementedError, RuntimeError) as error:
            raise NotSeparableError(f"{name}: {error}") from error
        for parameter, gradient in gradients.items():
            key = id(parameter)
            if key in self.wanted:
                self.found[key] = self.found[key] + gradient if key in self.found else gradient


@contextmanager
def _frozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Keep parameters out of the graph that a forward step builds."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _interleaved(batches: Sequence[Tensor]) -> Tensor:
    """Join (patches, ...) of every patient to one batch: the first patch of every patient, then the second, ..."""
    return torch.stack(list(batches), dim=1).flatten(0, 1)


def _apart(logits: DenseLogits, patients: Sequence[PatchBatch]) -> Iterator[tuple[DenseLogits, DenseTargets]]:
    voxel, anatomy = (tensor.view(-1, len(patients), *tensor.shape[1:]).unbind(1) for tensor in logits)
    for number, patient in enumerate(patients):
        yield DenseLogits(voxel[number], anatomy[number]), patient.targets
