from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from fedpsma.contract import TrainingPlan
from fedpsma.model.config import NetworkConfig
from fedpsma.model.losses import DenseTargets, dense_loss
from fedpsma.model.network import build
from fedpsma.training.clipping.flat import FlatClipping
from fedpsma.training.descent import Descent
from fedpsma.training.dp import (
    PrivateStep,
    TrainingDivergedError,
    draw_patients,
    private_gradient,
    select_parameters,
)
from fedpsma.training.gradients.engine import Block, Trainee
from fedpsma.training.gradients.grouped import grouped_gradients
from fedpsma.training.gradients.loop import loop_gradients
from fedpsma.training.patches import PatchBatch
from fedpsma.training.randomness import SeededRandomness

SMALL = NetworkConfig(channels=(16, 16), norm_groups=4)


def _random(seed: int = 0) -> SeededRandomness:
    return SeededRandomness(torch.Generator().manual_seed(seed))


def _patient(number: int, patches: int = 2) -> PatchBatch:
    generator = torch.Generator().manual_seed(number)
    image = torch.randn(patches, 5, 8, 8, 8, generator=generator, dtype=torch.float64)
    voxel = torch.randint(3, (patches, 8, 8, 8), generator=generator)
    anatomy = torch.randint(42, (patches, 8, 8, 8), generator=generator)
    return PatchBatch(image, torch.eye(5, dtype=torch.float64)[:patches], DenseTargets(voxel, anatomy))


@pytest.mark.parametrize("way", [loop_gradients, grouped_gradients])
@pytest.mark.parametrize("scope", ["all", "adaptive"])
def test_clipped_sum_equals_plain_autograd_patient_by_patient(scope, way) -> None:
    net = build(SMALL).double()
    chosen = select_parameters(net, scope)
    parameters, size = list(chosen.values()), sum(one.numel() for one in chosen.values())
    step = PrivateStep(FlatClipping(0.5), noise_multiplier=0.0, expected_patients=3.0)
    trainee = Trainee(net, parameters, dense_loss)
    blocks = (way(trainee, [_patient(k) for k in group]) for group in ((0, 1), (2,)))
    found = private_gradient(blocks, size, step, _random())
    expected = torch.zeros(size, dtype=torch.float64)
    for patient in range(3):
        net.zero_grad()
        one = _patient(patient)
        dense_loss(net(one.image, one.tracer), one.targets).backward()
        flat = torch.cat([one.grad.flatten() for one in parameters if one.grad is not None])
        expected += flat / max(1.0, float(flat.norm()) / 0.5) / 3
    assert float((found - expected).abs().max()) < 1e-10
    assert float(found.norm()) > 0.1


def test_noise_has_the_stated_standard_deviation_also_when_nobody_was_drawn() -> None:
    step = PrivateStep(FlatClipping(0.7), noise_multiplier=1.3, expected_patients=5.0)
    noise = private_gradient([], 200_000, step, _random())
    assert float(noise.std()) == pytest.approx(1.3 * 0.7 / 5, rel=0.01)
    assert float(noise.mean()) == pytest.approx(0, abs=0.001)


def test_noise_does_not_shrink_with_the_number_drawn() -> None:
    step = PrivateStep(FlatClipping(1.0), noise_multiplier=1.0, expected_patients=4.0)
    gradient = torch.ones(100) / 10
    one = private_gradient([[gradient[None]]], 100, step, _random()) - gradient / 4
    many = private_gradient([[gradient.expand(9, -1)]], 100, step, _random()) - gradient * 9 / 4
    torch.testing.assert_close(one, many, atol=1e-6, rtol=0)


def test_adaptive_scope_trains_heads_conditioning_and_normalisation_only() -> None:
    net = build(NetworkConfig())
    chosen = select_parameters(net, "adaptive")
    kinds = {name.split(".")[0] if name.split(".")[0].endswith(("film", "head")) else "rest" for name in chosen}
    assert kinds == {"tracer_film", "lesion_film", "voxel_head", "anatomy_head", "rest"}
    modules = dict(net.named_modules())
    rest = [name for name in chosen if not name.split(".")[0].endswith(("film", "head"))]
    assert all(isinstance(modules[name.rpartition(".")[0]], nn.GroupNorm) for name in rest)
    assert {name for name, one in net.named_parameters() if one.requires_grad} == set(chosen)
    assert sum(one.numel() for one in chosen.values()) < 10_000
    assert len(select_parameters(net, "all")) == len(list(net.parameters()))


def test_poisson_draws_have_the_rate_and_can_be_empty() -> None:
    random = _random()
    draws = [draw_patients(20, 0.1, random) for _ in range(2000)]
    assert sum(map(len, draws)) / 2000 == pytest.approx(2.0, abs=0.1)
    assert sum(not draw for draw in draws) / 2000 == pytest.approx(0.9**20, abs=0.03)
    assert all(draw == sorted(set(draw)) for draw in draws)
    assert draw_patients(5, 1.0, random) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_stops_the_round(bad: float) -> None:
    block = [torch.zeros(2, 3), torch.tensor([[1.0], [bad]])]
    with pytest.raises(TrainingDivergedError, match="not finite"):
        private_gradient([block], 4, PrivateStep(FlatClipping(1.0), 0.0, 2.0), _random())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_with_noise_a_patient_who_overflows_adds_nothing_and_is_not_told(bad: float) -> None:
    step = PrivateStep(FlatClipping(1.0), 1.0, 2.0)
    first, second = torch.tensor([0.3, 0.0, 0.4]), torch.tensor([0.1, bad, 0.0])
    with_both = private_gradient([[torch.stack([first, second])]], 3, step, _random())
    alone = private_gradient([[first[None]]], 3, step, _random())
    torch.testing.assert_close(with_both, alone)


@pytest.mark.parametrize("norm", [0.0, float("inf"), float("nan")])
def test_a_private_step_whose_noise_hides_nobody_is_refused_before_a_patient_is_looked_at(norm: float) -> None:
    def looked() -> Iterator[Block]:
        raise AssertionError("a patient was looked at")
        yield

    with pytest.raises(ValueError, match="protects nobody"):
        private_gradient(looked(), 4, PrivateStep(FlatClipping(norm), 1.0, 2.0), _random())


class _NoNumber(FlatClipping):
    """Clipping that has no factor for a patient without gradient: 0 / 0."""

    def scales(self, lengths: Tensor) -> Tensor:
        return super().scales(lengths).masked_fill(lengths == 0, float("nan"))


def test_a_patient_who_overflows_adds_exactly_nothing_whatever_the_clipping_makes_of_him() -> None:
    both = torch.tensor([[0.3, 0.0, 0.4], [float("inf"), 0.0, 0.0]])
    found = [
        private_gradient([[rows]], 3, PrivateStep(_NoNumber(1.0), 1.0, 2.0), _random()) for rows in (both, both[:1])
    ]
    assert torch.equal(*found)


def test_descent_follows_the_mean_gradient() -> None:
    first, second = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.zeros(3))
    step = PrivateStep(FlatClipping(100.0), noise_multiplier=0.0, expected_patients=4.0)
    block = [torch.arange(4.0).view(1, 2, 2), torch.arange(4.0, 7.0).view(1, 3)]
    gradient = private_gradient([block] * 2, 7, step, _random())
    Descent.of(TrainingPlan(learning_rate=2.0), [first, second], 1).step(gradient)
    assert first.flatten().tolist() == [1, 0, -1, -2]
    assert second.tolist() == [-4, -5, -6]
