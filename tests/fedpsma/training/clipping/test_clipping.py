from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedpsma.contract import LEAST_CLIP_NORM, MOST_CLIP_NORM, TrainingPlan
from fedpsma.training.clipping.adaptive import AdaptiveClipping
from fedpsma.training.clipping.flat import FlatClipping
from fedpsma.training.clipping.per_layer import PerLayerClipping
from fedpsma.training.clipping.rule import Clipping, clipping_of
from fedpsma.training.dp import PrivateStep, clipped_sum, patient_lengths, private_gradient
from fedpsma.training.randomness import SeededRandomness

NAMES = ("a.weight", "a.bias", "b.weight")
SHAPES = ((3, 2), (3,), (4,))
LENGTHS = st.lists(st.floats(0, 1e6), min_size=3, max_size=3)


def _block(patients: int, seed: int = 0, scale: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(patients, *shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def _rules(norm: float) -> list[Clipping]:
    return [FlatClipping(norm), PerLayerClipping.of(norm, NAMES), AdaptiveClipping(norm, 0.5)]


def _random(seed: int = 0) -> SeededRandomness:
    return SeededRandomness(torch.Generator().manual_seed(seed))


@given(LENGTHS, st.floats(1e-3, 1e3))
def test_no_rule_lets_a_patient_add_more_than_its_norm(lengths: list[float], norm: float) -> None:
    parts = torch.tensor(lengths, dtype=torch.float64)[:, None]
    for rule in _rules(norm):
        scales = rule.scales(parts)
        assert scales.shape == parts.shape
        assert float(scales.max()) <= 1
        assert float((scales * parts).norm()) <= norm * (1 + 1e-12)


@pytest.mark.parametrize("scale", [0.001, 0.3, 50.0])
def test_flat_clipping_is_that_of_a_plain_float64_loop(scale: float) -> None:
    block = _block(5, scale=scale)
    found = clipped_sum(block, FlatClipping(0.7).scales(patient_lengths(block)))
    expected = torch.zeros_like(found)
    for patient in range(5):
        flat = torch.cat([part[patient].flatten() for part in block])
        expected += flat / max(1.0, math.sqrt(float(flat @ flat)) / 0.7)
    assert float((found - expected).abs().max()) < 1e-12


def test_layers_are_clipped_by_themselves_with_weight_and_bias_together() -> None:
    block = _block(1, scale=50.0)
    block[2] *= 1e-4
    found = clipped_sum(block, PerLayerClipping.of(1.0, NAMES).scales(patient_lengths(block)))
    first = torch.cat([block[0].flatten(), block[1].flatten()])
    torch.testing.assert_close(found[:9], first / first.norm() / math.sqrt(2), atol=1e-12, rtol=0)
    # The short gradient of the other layer passes as it is; clipped with the whole it would have nearly vanished.
    torch.testing.assert_close(found[9:], block[2].flatten(), atol=1e-12, rtol=0)


@given(st.floats(0.3, 20), st.floats(0.01, 100), LENGTHS)
def test_gradient_and_count_together_cost_what_the_ledger_was_charged(
    z: float, norm: float, lengths: list[float]
) -> None:
    """One patient moves both answers by a vector that, in units of its noise, is no longer than 1 / z."""
    rule = AdaptiveClipping(norm, 0.5)
    step = PrivateStep(rule, z, 6.0)
    parts = torch.tensor(lengths, dtype=torch.float64)[:, None]
    gradient = float((rule.scales(parts) * parts).norm()) / step.noise
    moved: list[float] = []
    for people in (parts, torch.zeros(3, 0, dtype=torch.float64)):
        other = AdaptiveClipping(norm, 0.5)
        other.adapt(people, z, 1.0, lambda count: torch.zeros(count, dtype=torch.float64))
        moved.append(-math.log(other.norm / norm) / 0.2)
    unit = AdaptiveClipping(norm, 0.5)
    # A hundredth of the noise, so that the step is not limited.
    unit.adapt(torch.zeros(3, 0), z, 1.0, lambda count: torch.full((count,), 0.01, dtype=torch.float64))
    deviation = -math.log(unit.norm / norm) / 0.2 * 100
    count = (moved[0] - moved[1]) / deviation
    assert math.hypot(gradient, count) <= 1 / z * (1 + 1e-9)
    if float(parts.norm()) >= norm:
        assert math.hypot(gradient, count) == pytest.approx(1 / z)


def test_the_noise_of_an_adaptive_step_is_the_stated_one() -> None:
    # With a twentieth of the precision for the count: z_g = 1.3 / sqrt(0.95) and s = 1.3 / (2 sqrt(0.05)).
    step = PrivateStep(AdaptiveClipping(0.7, 0.5), 1.3, 5.0)
    noise = private_gradient([], 200_000, step, _random())
    assert float(noise.std()) == pytest.approx(1.3 / math.sqrt(0.95) * 0.7 / 5, rel=0.01)
    logs = []
    for seed in range(4000):
        rule = AdaptiveClipping(1.0, 0.5)
        rule.adapt(torch.zeros(1, 0), 1.3, 5.0, _random(seed).normal)
        logs.append(math.log(rule.norm))
    assert torch.tensor(logs).std().item() == pytest.approx(0.2 * 1.3 / (2 * math.sqrt(0.05)) / 5, rel=0.05)
    assert torch.tensor(logs).mean().item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("quantile", [0.2, 0.5, 0.8])
def test_the_adaptive_bound_finds_the_quantile(quantile: float) -> None:
    rule = AdaptiveClipping(3.0, quantile)
    random = _random(3)
    step = PrivateStep(rule, 0.1, 200.0)
    for seed in range(120):
        # Gradient lengths are uniform between 0 and 1.
        length = torch.rand(1, 200, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        private_gradient([[length.T]], 1, step, random)
    assert rule.norm == pytest.approx(quantile, abs=0.06)


def test_an_empty_draw_moves_the_adaptive_bound_by_noise_alone() -> None:
    rule = AdaptiveClipping(2.0, 0.9)
    private_gradient([], 3, PrivateStep(rule, 0.0, 5.0), _random())
    # Nobody was drawn where five were expected: half of the votes, as if the bound were the median.
    assert rule.norm == pytest.approx(2.0 * math.exp(0.2 * (0.9 - 0.5)))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_draw_takes_the_adaptive_bound_to_zero_or_infinity(sign: float) -> None:
    # A coordinator can order that a hundredth of a patient is expected in a step.
    rule = AdaptiveClipping(1.0, 0.5)
    for _ in range(1000):
        rule.adapt(torch.zeros(1, 0), 2.2, 0.01, lambda count: torch.full((count,), sign, dtype=torch.float64))
    assert rule.norm == (LEAST_CLIP_NORM if sign > 0 else MOST_CLIP_NORM)
    for draw in (1e300, -1e300):
        rule.adapt(
            torch.zeros(1, 0), 2.2, 0.01, lambda count, draw=draw: torch.full((count,), draw, dtype=torch.float64)
        )
    assert 0 < PrivateStep(rule, 2.2, 0.01).noise < math.inf


def test_limited_steps_leave_the_adaptive_bound_at_the_quantile() -> None:
    rule, lengths = AdaptiveClipping(1.0, 0.9), torch.tensor([[0.5] * 9 + [2.0]], dtype=torch.float64)
    for draw in (100.0, -100.0):
        rule.adapt(lengths, 2.0, 10.0, lambda count, draw=draw: torch.full((count,), draw, dtype=torch.float64))
        assert rule.norm == pytest.approx(math.exp(-1.0) if draw > 0 else 1.0)


def test_the_plan_chooses_the_rule() -> None:
    plan = TrainingPlan(clip_norm=0.4, clip_quantile=0.3)
    assert clipping_of(plan, NAMES) == FlatClipping(0.4)
    assert clipping_of(plan.model_copy(update={"clipping": "per_layer"}), NAMES) == PerLayerClipping(0.4, (0, 0, 1))
    assert clipping_of(plan.model_copy(update={"clipping": "adaptive"}), NAMES) == AdaptiveClipping(0.4, 0.3)
