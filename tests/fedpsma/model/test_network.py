from __future__ import annotations

import pytest
import torch

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import LesionNet, build

SMALL = NetworkConfig(channels=(16, 24), norm_groups=4)


def _input(batch: int, edge: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 5, edge, edge, edge, generator=generator), torch.eye(5)[:batch]


def test_default_network_has_one_to_five_million_parameters_and_width_16_at_full_resolution() -> None:
    net = build(NetworkConfig())
    assert 1e6 < sum(parameter.numel() for parameter in net.parameters()) < 5e6
    assert NetworkConfig().channels[0] >= 16
    assert NetworkConfig().stride == 16


def test_voxel_classes_are_dense_at_full_resolution_and_the_anatomy_at_half() -> None:
    logits = build(SMALL)(*_input(2))
    assert logits.voxel.shape == (2, 3, 8, 8, 8)
    assert logits.anatomy.shape == (2, len(anatomy_classes()), 4, 4, 4)


def test_same_seed_same_weights_and_the_global_generator_stays_untouched() -> None:
    before = torch.random.get_rng_state()
    first, second, other = build(SMALL, seed=3), build(SMALL, seed=3), build(SMALL, seed=4)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.voxel_head.weight, other.voxel_head.weight)


def test_a_patient_in_a_batch_gets_what_he_gets_alone() -> None:
    net = build(SMALL).double()
    image, tracer = _input(2)
    together = net(image.double(), tracer.double()).voxel[0]
    alone = net(image[:1].double(), tracer[:1].double()).voxel[0]
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)


def test_untrained_conditioning_is_the_identity_and_a_trained_one_tells_tracers_apart() -> None:
    net = build(SMALL)
    image, _ = _input(1)
    one, other = torch.eye(5)[:1], torch.eye(5)[1:2]
    assert torch.equal(net(image, one).voxel, net(image, other).voxel)
    with torch.no_grad():
        net.lesion_film.project.weight.normal_(generator=torch.Generator().manual_seed(0))
    changed = net(image, one)
    assert not torch.equal(changed.voxel, net(image, other).voxel)
    assert torch.equal(changed.anatomy, net(image, other).anatomy)


@pytest.mark.parametrize("module", list(build(NetworkConfig()).modules()), ids=lambda module: type(module).__name__)
def test_no_layer_keeps_batch_statistics_or_works_in_place(module: torch.nn.Module) -> None:
    assert not getattr(module, "inplace", False)
    assert not list(module.buffers(recurse=False))


def test_every_parameter_gets_a_gradient() -> None:
    net: LesionNet = build(SMALL)
    logits = net(*_input(1))
    (logits.voxel.square().mean() + logits.anatomy.square().mean()).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []
