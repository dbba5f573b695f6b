from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from opacus.grad_sample import GradSampleModule
from torch import Tensor, nn

from fedpsma.training.gradients.layers import layer_gradients

PATIENTS, PATCHES, CHANNELS = 3, 2, 4


def _apart(layer: nn.Module, batch: Tensor, backprop: Tensor, patient: int) -> dict[str, Tensor]:
    """The gradient of one patient by autograd on his patches alone."""
    own = slice(patient, None, PATIENTS)
    output = layer(batch[own])
    found = torch.autograd.grad(output, list(layer.parameters()), backprop[own])
    return dict(zip(dict(layer.named_parameters()), found, strict=True))


def _assert_equal_to_autograd(layer: nn.Module, batch: Tensor) -> None:
    layer = layer.double()
    torch.manual_seed(1)
    backprop = torch.randn_like(layer(batch)).detach()
    found = layer_gradients(layer, batch, backprop, PATIENTS)
    found = {one: gradient.detach() for one, gradient in found.items()}
    assert set(found) == set(layer.parameters())
    for patient in range(PATIENTS):
        expected = _apart(layer, batch, backprop, patient)
        for name, parameter in layer.named_parameters():
            assert found[parameter].shape == (PATIENTS, *parameter.shape)
            assert float((found[parameter][patient] - expected[name]).abs().max()) < 1e-10, (name, patient)


def _volumes(edge: int = 6, channels: int = CHANNELS) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(PATIENTS * PATCHES, channels, edge, edge + 1, edge, dtype=torch.float64)


@settings(max_examples=60)
@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    bias=st.booleans(),
    last=st.booleans(),
)
def test_convolutions_of_every_geometry(kernel, stride, padding, dilation, groups, bias, last) -> None:
    batch = _volumes()
    assume(dilation * (kernel - 1) + 1 <= 6 + 2 * padding)
    layer = nn.Conv3d(CHANNELS, 8, kernel, stride, padding, dilation, groups, bias)
    if last:
        layer = layer.to(memory_format=torch.channels_last_3d)
        batch = batch.contiguous(memory_format=torch.channels_last_3d)
    _assert_equal_to_autograd(layer, batch)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", ["same", "valid", 1])
def test_convolutions_with_named_padding_and_other_borders(mode: str, padding: str | int) -> None:
    _assert_equal_to_autograd(nn.Conv3d(CHANNELS, 3, (3, 2, 1), padding=padding, padding_mode=mode), _volumes())


@settings(max_examples=25)
@given(
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    padding=st.integers(0, 1),
    extra=st.integers(0, 2),
    groups=st.sampled_from([1, 2]),
)
def test_transposed_convolutions(kernel: int, stride: int, padding: int, extra: int, groups: int) -> None:
    assume(extra < stride and kernel > padding)
    layer = nn.ConvTranspose3d(CHANNELS, 6, kernel, stride, padding, extra, groups)
    _assert_equal_to_autograd(layer, _volumes(4))


def test_output_padding_that_reaches_the_stride_is_refused() -> None:
    layer = nn.ConvTranspose3d(CHANNELS, 6, 3, 2, output_padding=2, dilation=3)
    batch = _volumes(4).float()
    with pytest.raises(NotImplementedError):
        layer_gradients(layer, batch, torch.randn_like(layer(batch)), PATIENTS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.GroupNorm(2, CHANNELS),
        lambda: nn.GroupNorm(4, CHANNELS, eps=0.1),
        lambda: nn.InstanceNorm3d(CHANNELS, affine=True),
        lambda: nn.PReLU(CHANNELS),
    ],
    ids=["group norm", "group norm, wide epsilon", "instance norm", "parametric relu"],
)
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_normalisations_and_activations(make: Callable[[], nn.Module], offset: float) -> None:
    layer = make()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    _assert_equal_to_autograd(layer, _volumes() + offset)


@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers(bias: bool) -> None:
    _assert_equal_to_autograd(nn.Linear(5, 7, bias=bias), torch.randn(PATIENTS * PATCHES, 5, dtype=torch.float64))


def test_the_samplers_are_registered_with_opacus_where_every_sample_is_a_patient() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(3, 4, 3, 2, 1), nn.GroupNorm(2, 4), nn.ConvTranspose3d(4, 2, 2, 2)).double()
    image = torch.randn(4, 3, 6, 6, 6, dtype=torch.float64)
    wrapped = GradSampleModule(net, loss_reduction="sum")
    wrapped(image).square().sum().backward()
    for kind in (nn.Conv3d, nn.GroupNorm, nn.ConvTranspose3d):
        assert GradSampleModule.GRAD_SAMPLERS[kind].__module__ == "fedpsma.training.gradients.layers"
    found = [parameter.grad_sample for parameter in net.parameters()]
    wrapped.remove_hooks()
    for sample in range(4):
        expected = torch.autograd.grad(net(image[sample : sample + 1]).square().sum(), list(net.parameters()))
        for one, other in zip(found, expected, strict=True):
            assert float((one[sample] - other).abs().max()) < 1e-10
