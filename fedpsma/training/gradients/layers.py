"""Gradients of single layers, one a patient, from what went into the layer and what comes back to its output.

Opacus unfolds the input of a convolution, which takes 27 times its memory for a kernel of 3 x 3 x 3. Here the patients
become groups of one convolution instead, whose weight gradient holds theirs side by side. The samplers of this module
are registered with Opacus, so that its engines use them too; for layers without one, those of Opacus are used.

A batch holds the first patch of every patient, then the second of every patient, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from opacus.grad_sample import GradSampleModule, register_grad_sampler
from opacus.grad_sample.functorch import ft_compute_per_sample_gradient
from torch import Tensor, nn

Padding = tuple[int, ...]
LayerGradients = dict[Tensor, Tensor]
LayerSampler = Callable[[nn.Module, Tensor, Tensor, int], LayerGradients]

_SAMPLERS: dict[type[nn.Module], LayerSampler] = {}


def layer_gradients(layer: nn.Module, activation: Tensor, backprop: Tensor, patients: int) -> LayerGradients:
    """Return the gradients of a layer's own parameters, (patients, *shape) each, summed over a patient's patches.

    Args:
        layer: A layer that has parameters of its own.
        activation: Its input (patches * patients, ...).
        backprop: Gradient of the loss by its output (patches * patients, ...).
        patients: How many patients the batch holds.

    Raises:
        NotImplementedError: Neither this module nor Opacus can tell patients apart in such a layer.
    """
    if type(layer) in _SAMPLERS:
        return _SAMPLERS[type(layer)](layer, activation, backprop, patients)
    sampler = GradSampleModule.GRAD_SAMPLERS.get(type(layer), ft_compute_per_sample_gradient)
    of_patches = sampler(layer, [activation], backprop)
    return {parameter: _by_patient(gradient, patients) for parameter, gradient in of_patches.items()}


def _sampler_of(kind: type[nn.Module]) -> Callable[[LayerSampler], LayerSampler]:
    """Use a sampler here, and in Opacus, where every sample of the batch counts as a patient."""

    def register(sampler: LayerSampler) -> LayerSampler:
        def for_opacus(layer: nn.Module, activations: list[Tensor], backprops: Tensor) -> LayerGradients:
            return sampler(layer, activations[0].to(backprops.dtype), backprops, len(backprops))

        register_grad_sampler(kind)(for_opacus)
        _SAMPLERS[kind] = sampler
        return sampler

    return register


@_sampler_of(nn.Conv3d)
def _conv3d(module: nn.Module, activation: Tensor, backprop: Tensor, patients: int) -> LayerGradients:
    layer = cast(nn.Conv3d, module)
    padding = layer.padding
    if isinstance(padding, str) or layer.padding_mode != "zeros":
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        activation = nn.functional.pad(activation, layer._reversed_padding_repeated_twice, mode=mode)
        padding = (0, 0, 0)
    pointwise = {*layer.kernel_size, *layer.stride, layer.groups} == {1}
    if pointwise and not any(padding):
        weight = _pointwise_weight(activation, backprop, patients).view(patients, *layer.weight.shape)
    else:
        weight = _convolution_weight(layer, activation, backprop, patients, padding)
    return {layer.weight: weight} | _bias(layer.bias, backprop, patients)


@_sampler_of(nn.ConvTranspose3d)
def _conv_transpose3d(module: nn.Module, activation: Tensor, backprop: Tensor, patients: int) -> LayerGradients:
    """Take it as what it is, a convolution the other way round: from its output to its input."""
    layer = cast(nn.ConvTranspose3d, module)
    if any(extra >= stride for extra, stride in zip(layer.output_padding, layer.stride, strict=True)):
        raise NotImplementedError("a transposed convolution whose output padding reaches its stride")
    padding = cast(Padding, layer.padding)
    weight = _convolution_weight(layer, backprop, activation, patients, padding)
    return {layer.weight: weight} | _bias(layer.bias, backprop, patients)


@_sampler_of(nn.GroupNorm)
def _group_norm(module: nn.Module, activation: Tensor, backprop: Tensor, patients: int) -> LayerGradients:
    """Let PyTorch's own backward step see one patch at a time: it sums the gradients of whatever batch it gets."""
    layer = cast(nn.GroupNorm, module)
    samples, channels = activation.shape[:2]
    activation, backprop = activation.contiguous(), backprop.contiguous()
    voxels = activation[0, 0].numel()
    _, mean, rstd = torch.native_group_norm(
        activation, None, None, samples, channels, voxels, layer.num_groups, layer.eps
    )
    pairs = [
        torch.ops.aten.native_group_norm_backward(
            *(tensor[one : one + 1] for tensor in (backprop, activation, mean, rstd)),
            layer.weight,
            1,
            channels,
            voxels,
            layer.num_groups,
            (False, True, True),
        )[1:]
        for one in range(samples)
    ]
    scale, shift = (torch.stack(gradients) for gradients in zip(*pairs, strict=True))
    return {layer.weight: _by_patient(scale, patients), layer.bias: _by_patient(shift, patients)}


def _convolution_weight(
    layer: nn.Conv3d | nn.ConvTranspose3d, start: Tensor, end: Tensor, patients: int, padding: Padding
) -> Tensor:
    """Return the weight gradients of a convolution from ``start`` to ``end``: patients as groups, patches as batch."""
    out, inside, *kernel = layer.weight.shape
    weight: Tensor = torch.ops.aten.convolution_backward(
        _side_by_side(end, patients),
        _side_by_side(start, patients),
        # Only its shape counts.
        layer.weight.new_empty(1).expand(patients * out, inside, *kernel),
        None,
        layer.stride,
        padding,
        layer.dilation,
        False,
        (0, 0, 0),
        patients * layer.groups,
        (False, True, False),
    )[1]
    return weight.view(patients, *layer.weight.shape)


def _pointwise_weight(activation: Tensor, backprop: Tensor, patients: int) -> Tensor:
    return _by_patient(torch.bmm(backprop.flatten(2), activation.flatten(2).transpose(1, 2)), patients)


def _bias(bias: Tensor | None, backprop: Tensor, patients: int) -> LayerGradients:
    return {} if bias is None else {bias: _by_patient(backprop.flatten(2).sum(2), patients)}


def _side_by_side(batch: Tensor, patients: int) -> Tensor:
    """(patches * patients, channel, ...) -> (patches, patients * channel, ...), free of cost where it is contiguous."""
    return batch.reshape(len(batch) // patients, -1, *batch.shape[2:])


def _by_patient(of_patches: Tensor, patients: int) -> Tensor:
    """Sum (patches * patients, ...) over the patches of every patient."""
    return of_patches if len(of_patches) == patients else of_patches.view(-1, patients, *of_patches.shape[1:]).sum(0)
