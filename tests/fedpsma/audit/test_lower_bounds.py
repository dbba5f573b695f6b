"""Lower bounds of epsilon against mechanisms whose epsilon is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from fedpsma.audit.limits import advantage_limit, auc_limit
from fedpsma.audit.lower_bounds import (
    Guesses,
    Rates,
    epsilon_from_guesses,
    epsilon_from_rates,
    epsilon_from_scores,
    epsilon_from_trials,
    p_value,
)


def _responses(epsilon: float, members: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Randomised response: each patient's bit, told truly with probability e^epsilon / (1 + e^epsilon)."""
    truly = rng.random(members.size) < 1 / (1 + math.exp(-epsilon))
    return np.where(truly, members, ~members).astype(np.float64)


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0])
def test_one_run_of_randomised_response_comes_near_the_truth(epsilon: float) -> None:
    rng = np.random.default_rng(1)
    members = rng.random(20_000) < 0.5
    bound, guesses = epsilon_from_scores(_responses(epsilon, members, rng), members, delta=0.0)
    assert 0.85 * epsilon < bound.epsilon <= epsilon
    assert guesses.patients == members.size


def test_one_run_bounds_are_wrong_no_more_often_than_they_say() -> None:
    rng = np.random.default_rng(2)
    above = 0
    for _ in range(150):
        members = rng.random(200) < 0.5
        above += epsilon_from_scores(_responses(1.0, members, rng), members, delta=0.0)[0].epsilon > 1.0
    assert binom.sf(above - 1, 150, 0.05) > 0.001


def test_p_value_is_that_of_the_authors_program() -> None:
    """Against the loop of the appendix of Steinke, Nasr, Jagielski 2023, written out."""
    patients, made, right, epsilon, delta = 1000, 120, 90, 0.7, 1e-4
    accuracy = 1 / (1 + math.exp(-epsilon))
    alpha = total = 0.0
    for i in range(1, right + 1):
        total += float(binom.pmf(right - i, made, accuracy))
        if total > i * alpha:
            alpha = total / i
    expected = float(binom.sf(right - 1, made, accuracy)) + alpha * delta * 2 * patients
    assert p_value(Guesses(patients, made, right), epsilon, delta) == pytest.approx(expected, rel=1e-12)


def test_delta_costs_what_it_must() -> None:
    guesses = Guesses(1000, 1000, 800)
    bounds = [epsilon_from_guesses(guesses, delta).epsilon for delta in (0.0, 1e-5, 1e-3, 1e-1)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > 1.2
    assert bounds[-1] == 0.0


def _gaussian_delta(mu: float, epsilon: float) -> float:
    """Balle and Wang 2018, theorem 8: the delta of the Gaussian mechanism with sensitivity over noise ``mu``."""
    return float(norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu))


def _gaussian_epsilon(mu: float, delta: float) -> float:
    low, high = 0.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _gaussian_delta(mu, middle) > delta else (low, middle)
    return low


@pytest.mark.parametrize("mu", [0.5, 1.0, 2.0])
def test_trials_of_the_gaussian_mechanism_come_near_the_truth_from_below(mu: float) -> None:
    rng = np.random.default_rng(3)
    trials, delta = 300_000, 1e-2
    truth = _gaussian_epsilon(mu, delta)
    bound, _ = epsilon_from_trials(rng.normal(mu, 1, trials), rng.normal(0, 1, trials), delta)
    assert 0.8 * truth < bound.epsilon <= truth


def test_bounds_from_trials_are_wrong_no_more_often_than_they_say() -> None:
    rng = np.random.default_rng(4)
    truth = _gaussian_epsilon(1.0, 0.05)
    above = sum(
        epsilon_from_trials(rng.normal(1, 1, 900), rng.normal(0, 1, 900), 0.05)[0].epsilon > truth for _ in range(300)
    )
    assert binom.sf(above - 1, 300, 0.05) > 0.001


def test_clopper_and_pearson_of_nothing_wrong() -> None:
    """Zero of n mistaken: at most 1 - (half the level)^(1/n) are, and as many are missed."""
    most = 1 - 0.025 ** (1 / 1000)
    bound = epsilon_from_rates(Rates(1000, 1000, 0, 1000), delta=0.0)
    assert bound.epsilon == pytest.approx(math.log((1 - most) / most), rel=1e-9)


def test_scores_that_know_nothing_prove_nothing() -> None:
    rng = np.random.default_rng(5)
    found = [epsilon_from_scores(rng.normal(size=300), rng.random(300) < 0.5, 0.0)[0].epsilon for _ in range(100)]
    assert np.mean(np.array(found) > 0) <= 0.1


@given(st.floats(0, 8), st.floats(0, 0.2))
def test_limits_are_the_area_and_the_height_of_the_best_curve(epsilon: float, delta: float) -> None:
    false = np.linspace(0, 1, 20_001)
    missed = np.maximum.reduce(
        [1 - delta - math.exp(epsilon) * false, math.exp(-epsilon) * (1 - delta - false), np.zeros_like(false)]
    )
    assert auc_limit(epsilon, delta) == pytest.approx(float(np.trapezoid(1 - missed, false)), abs=1e-3)
    assert advantage_limit(epsilon, delta) == pytest.approx(float((1 - missed - false).max()), abs=5e-4)
