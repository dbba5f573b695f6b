"""The private step, audited by itself."""

from __future__ import annotations

import pytest
import torch

from fedpsma.audit import mechanism
from fedpsma.audit.mechanism import audit_mechanism
from fedpsma.training.accounting import epsilon_of
from fedpsma.training.charge import Charge
from fedpsma.training.randomness import SeededRandomness

DELTA = 1e-2


def _randomness(seed: int = 1) -> SeededRandomness:
    return SeededRandomness(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "spend",
    [
        Charge(noise_multiplier=1.5, sample_rate=0.3, steps=6),
        Charge(noise_multiplier=1.0, sample_rate=1.0, steps=1),
    ],
)
def test_the_step_keeps_its_promise_and_the_bound_is_not_empty(spend: Charge) -> None:
    bound, rates = audit_mechanism(spend, DELTA, _randomness(), trials=6000)
    claimed = epsilon_of([spend], DELTA)
    assert 0.4 * claimed < bound.epsilon <= claimed
    assert rates.members + rates.others == 2 * 4000


def test_too_little_noise_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    spend = Charge(noise_multiplier=2.0, sample_rate=0.5, steps=6)
    claimed = epsilon_of([spend], DELTA)
    real = mechanism.private_gradient

    def weak(gradients, size, step, randomness):  # type: ignore[no-untyped-def]
        return real(gradients, size, type(step)(step.clipping, step.noise_multiplier / 3, 1.0), randomness)

    monkeypatch.setattr(mechanism, "private_gradient", weak)
    assert audit_mechanism(spend, DELTA, _randomness(), trials=6000)[0].epsilon > claimed


def test_a_clip_that_does_not_hold_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    spend = Charge(noise_multiplier=2.0, sample_rate=0.5, steps=6)
    monkeypatch.setattr("fedpsma.training.clipping.flat.shrink_to", lambda norm, lengths: torch.ones_like(lengths))
    assert audit_mechanism(spend, DELTA, _randomness(), trials=3000)[0].epsilon > epsilon_of([spend], DELTA)
