from __future__ import annotations

import math

import numpy as np
import pytest

from fedpsma.evaluation.bootstrap import Figure, draw_weights, figure_of, mean, median, ratio


def interval(values, patients, replicates=2000, seed=0):
    owner = np.asarray(patients)
    weights = draw_weights(int(owner.max()) + 1, np.random.default_rng(seed), replicates)
    return figure_of(mean(weights, owner, values))


def test_the_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(3).normal(10.0, 2.0, size=200)
    found = interval(values, np.arange(200))
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / math.sqrt(200)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_the_patient_is_the_unit():
    """A hundred scans of four patients say no more than the four patients."""
    values = np.array([0.0, 1.0, 2.0, 3.0])
    many, few = interval(np.repeat(values, 25), np.repeat(np.arange(4), 25)), interval(values, np.arange(4))
    assert (many.low, many.high) == pytest.approx((few.low, few.high))


def test_a_drawn_patient_brings_all_his_records():
    weights = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])
    owner = np.array([0, 0, 1])
    assert mean(weights, owner, [1.0, 3.0, 8.0]).tolist() == [4.0, 2.0, 8.0]
    assert median(weights, owner, [1.0, 3.0, 8.0]).tolist() == [3.0, 2.0, 8.0]
    assert ratio(weights, owner, [1.0, 0.0, 1.0], [1.0, 1.0, 1.0]).tolist() == pytest.approx([2 / 3, 1 / 2, 1.0])


def test_medians_are_those_of_numpy_on_the_drawn_records():
    rng = np.random.default_rng(5)
    values, owner = rng.normal(size=30), rng.integers(0, 8, size=30)
    weights = draw_weights(8, rng, 40)
    expected = [np.median(np.repeat(values, row[owner].astype(int))) for row in weights]
    assert median(weights, owner, values.tolist()) == pytest.approx(expected)


def test_the_same_seed_gives_the_same_draws_and_the_first_is_the_sample():
    first, second = (draw_weights(5, np.random.default_rng(7), 50) for _ in range(2))
    assert (first == second).all()
    assert first[0].tolist() == [1.0] * 5
    assert (first.sum(axis=1) == 5).all()


def test_replicates_without_a_value_are_left_out_and_nothing_is_none():
    assert interval([math.nan, 4.0], [0, 1]) == Figure(value=4.0, low=4.0, high=4.0)
    assert interval([math.nan, math.nan], [0, 1]) == Figure(value=None)
    assert str(Figure(value=None)) == "not defined"


def test_one_patient_alone_has_no_interval():
    assert interval([1.0, 3.0], [0, 0]) == Figure(value=2.0)


def test_nobody_cannot_be_drawn():
    with pytest.raises(ValueError, match="no patient"):
        draw_weights(0, np.random.default_rng(0))
