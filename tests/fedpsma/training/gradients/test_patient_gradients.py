from __future__ import annotations

import pytest
import torch
from torch import nn

from fedpsma.model.config import NetworkConfig
from fedpsma.model.losses import dense_loss
from fedpsma.model.network import DenseLogits, build
from fedpsma.training.clipping.flat import FlatClipping
from fedpsma.training.dp import clipped_sum, patient_lengths, select_parameters
from fedpsma.training.gradients.engine import Trainee
from fedpsma.training.gradients.grouped import NotSeparableError, grouped_gradients
from fedpsma.training.gradients.loop import loop_gradients
from fedpsma.training.gradients.trial import trial_patients
from fedpsma.training.patches import PatchBatch

# Strided and pointwise convolutions with and without bias, normalisation and both tracer layers, at every resolution.
SMALL = NetworkConfig(channels=(8, 16, 16), norm_groups=4)


def _double(patients: list[PatchBatch]) -> list[PatchBatch]:
    return [PatchBatch(one.image.double(), one.tracer.double(), one.targets) for one in patients]


def _network() -> nn.Module:
    net = build(SMALL).double()
    # The tracer layers start at zero, where a wrong gradient could hide.
    nn.init.normal_(net.tracer_film.project.weight, std=0.3)
    nn.init.normal_(net.lesion_film.project.weight, std=0.3)
    return net


def _worst(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("scope", ["all", "adaptive"])
@pytest.mark.parametrize("patches", [1, 3])
@pytest.mark.parametrize("last", [False, True], ids=["contiguous", "channels last"])
def test_both_ways_equal_plain_autograd_of_one_patient_after_the_other(scope, patches: int, last: bool) -> None:
    net = _network()
    patients = _double(trial_patients(4, patches, 8))
    if last:
        net = net.to(memory_format=torch.channels_last_3d)
        patients = [one._replace(image=one.image.to(memory_format=torch.channels_last_3d)) for one in patients]
    parameters = list(select_parameters(net, scope).values())
    trainee = Trainee(net, parameters, dense_loss)
    expected = []
    for one in patients:
        net.zero_grad()
        dense_loss(net(one.image, one.tracer), one.targets).backward()
        expected.append([parameter.grad.clone() for parameter in parameters])
    plain = [torch.stack(gradients) for gradients in zip(*expected, strict=True)]
    assert max(float(part.abs().max()) for part in plain) > 0.01
    assert _worst(loop_gradients(trainee, patients), plain) < 1e-10
    assert _worst(grouped_gradients(trainee, patients), plain) < 1e-10
    assert all(parameter.requires_grad for parameter in parameters)


def test_a_patient_is_clipped_once_whatever_the_number_of_his_patches() -> None:
    net = _network()
    trainee = Trainee(net, list(net.parameters()), dense_loss)
    for patches in (1, 4):
        block = grouped_gradients(trainee, _double(trial_patients(2, patches, 8)))
        lengths = patient_lengths(block)
        assert lengths.shape == (len(trainee.parameters), 2)
        one, two = (
            clipped_sum([part[[k]] for part in block], FlatClipping(0.1).scales(lengths)[:, [k]]) for k in (0, 1)
        )
        assert float(one.norm()) == pytest.approx(0.1)
        both = clipped_sum(block, FlatClipping(0.1).scales(lengths))
        assert float((one + two - both).abs().max()) < 1e-10


def test_frozen_layers_are_left_alone_and_keep_no_gradients() -> None:
    net = _network()
    parameters = list(select_parameters(net, "adaptive").values())
    grouped_gradients(Trainee(net, parameters, dense_loss), _double(trial_patients(2, 1, 8)))
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


class _Shaped(nn.Module):
    """Some layers between the image and the two heads."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv3d(5, 4, 3, padding=1), *layers)
        self.head = nn.Conv3d(4, 8, 1)

    def forward(self, image: torch.Tensor, tracer: torch.Tensor) -> DenseLogits:
        found = self.head(self.body(image))
        return DenseLogits(found[:, :3], found[:, 3:])


class _OutputInPlace(nn.Module):
    """Adds to what a layer has returned, as many residual blocks do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(4, 4, 3, padding=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        found = self.conv(features)
        found += features
        return found


class _InputInPlace(nn.Module):
    """Changes in place what a layer has worked on, which is right only where the layer is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(4, 4, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = features * 1
        found = self.conv(features)
        features += 1
        return found


class _Bare(nn.Module):
    """Holds a parameter that no layer accounts for by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(4, 4, 1)
        self.level = nn.Parameter(torch.zeros(4))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.conv(features) + self.level[:, None, None, None]


@pytest.mark.parametrize(
    "layers",
    [
        (nn.GroupNorm(2, 4), nn.LeakyReLU(inplace=True)),
        (_OutputInPlace(),),
        (nn.InstanceNorm3d(4, affine=True), nn.PReLU()),
        (nn.ConvTranspose3d(4, 4, 2, 2), nn.AvgPool3d(2)),
    ],
    ids=["activation in place", "sum in place", "layers of Opacus", "transposed"],
)
def test_networks_that_opacus_hooks_cannot_train(layers: tuple[nn.Module, ...]) -> None:
    net = _Shaped(*layers).double()
    trainee = Trainee(net, list(net.parameters()), dense_loss)
    patients = _double(trial_patients(3, 2, 8))
    assert _worst(grouped_gradients(trainee, patients), loop_gradients(trainee, patients)) < 1e-10


def test_a_shared_layer_counts_every_use() -> None:
    shared = nn.Conv3d(4, 4, 3, padding=1)
    net = _Shaped(shared, nn.GroupNorm(2, 4), shared).double()
    trainee = Trainee(net, list(net.parameters()), dense_loss)
    patients = _double(trial_patients(2, 2, 8))
    assert _worst(grouped_gradients(trainee, patients), loop_gradients(trainee, patients)) < 1e-10


@pytest.mark.parametrize(("layer", "named"), [(_InputInPlace(), "body.1.conv"), (_Bare(), "body.1")])
def test_what_cannot_be_told_apart_is_named(layer: nn.Module, named: str) -> None:
    net = _Shaped(layer)
    with pytest.raises(NotSeparableError, match=rf"^{named}: "):
        grouped_gradients(Trainee(net, list(net.parameters()), dense_loss), trial_patients(2, 1, 8))
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("way", [loop_gradients, grouped_gradients])
def test_a_patient_who_overflows_spoils_no_other(way) -> None:
    net = _Shaped(nn.GroupNorm(2, 4))
    first, second = trial_patients(2, 1, 8)
    trainee = Trainee(net, list(net.parameters()), dense_loss)
    alone = way(trainee, [second])
    together = way(trainee, [first._replace(image=first.image * float("inf")), second])
    lengths = patient_lengths(together)
    assert not bool(torch.isfinite(lengths[:, 0]).all())
    for own, found in zip(alone, together, strict=True):
        torch.testing.assert_close(found[1], own[0])
