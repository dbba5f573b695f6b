from __future__ import annotations

import pytest
import torch
from scipy import stats

from fedpsma.training.randomness import Randomness, SeededRandomness, SystemRandomness, generator_of, randomness_of


@pytest.mark.parametrize("source", [SystemRandomness(), SeededRandomness(torch.Generator().manual_seed(0))])
def test_draws_have_their_distributions(source: Randomness) -> None:
    # Chance of a false alarm: one in a million.
    assert stats.kstest(source.normal(100_001).numpy(), "norm").pvalue > 1e-6
    assert stats.kstest(source.uniform(100_001).numpy(), "uniform").pvalue > 1e-6


def test_a_seed_repeats_and_its_absence_does_not() -> None:
    assert generator_of(1, "A", 2).initial_seed() == generator_of(1, "A", 2).initial_seed()
    others = {generator_of(*key).initial_seed() for key in ((1, "A", 2), (2, "A", 2), (1, "B", 2), (1, "A", 3))}
    assert len(others) == 4
    assert generator_of(None, "A", 2).initial_seed() != generator_of(None, "A", 2).initial_seed()
    assert isinstance(randomness_of(None, generator_of(None, "A", 1)), SystemRandomness)
    assert isinstance(randomness_of(0, generator_of(0, "A", 1)), SeededRandomness)


def test_system_draws_differ_each_time() -> None:
    source = SystemRandomness()
    assert not torch.equal(source.normal(8), source.normal(8))
