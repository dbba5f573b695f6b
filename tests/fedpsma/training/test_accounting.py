from __future__ import annotations

import math

import numpy as np
import pytest
from opacus.accountants import PRVAccountant, RDPAccountant
from pydantic import ValidationError
from scipy.optimize import brentq
from scipy.stats import norm

from fedpsma.contract import LEAST_DELTA, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.training.accounting import epsilon_of, spend_of_round
from fedpsma.training.charge import Charge

HISTORIES = [
    [(1.0, 0.1, 20)],
    [(1.2, 0.3, 8), (1.2, 0.3, 8), (0.9, 0.3, 5)],
    [(3.0, 0.02, 60), (1.1, 0.25, 1)],
    [(2.2, 0.3, 8), (3.1, 0.2, 8)] * 2,
]


@pytest.mark.parametrize("rows", HISTORIES)
def test_epsilon_is_that_of_opacus_stepped_through_the_whole_history(rows: list[tuple[float, float, int]]) -> None:
    history = [Charge(noise_multiplier=sigma, sample_rate=rate, steps=steps) for sigma, rate, steps in rows]
    expected = []
    for accountant in (RDPAccountant(), PRVAccountant()):
        for spend in history:
            for _ in range(spend.steps):
                accountant.step(noise_multiplier=spend.noise_multiplier, sample_rate=spend.sample_rate)
        expected.append(accountant.get_epsilon(delta=1e-3))
    assert epsilon_of(history, 1e-3) == pytest.approx(max(expected), abs=1e-9)


def test_projects_that_take_turns_cost_no_more_work_than_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    honest = PRVAccountant.get_epsilon

    def watched(accountant: PRVAccountant, delta: float) -> float:
        counted.append(len(accountant.history))
        return float(honest(accountant, delta=delta))

    monkeypatch.setattr(PRVAccountant, "get_epsilon", watched)
    one, other = (Charge(noise_multiplier=sigma, sample_rate=0.23, steps=4) for sigma in (2.2, 3.1))
    assert epsilon_of([one, other] * 30, 1e-3) == epsilon_of([one] * 30 + [other] * 30, 1e-3)
    assert set(counted) == {2}


def test_ten_rounds_cost_what_was_measured_for_them() -> None:
    # q = 0.1, sigma = 1, 20 steps a round, delta = 1e-5 (RDP): 4.22 after one round, 11.02 after ten.
    one = Charge(noise_multiplier=1.0, sample_rate=0.1, steps=20)
    assert epsilon_of([one], 1e-5) == pytest.approx(4.22, abs=0.01)
    assert epsilon_of([one] * 10, 1e-5) == pytest.approx(11.02, abs=0.01)
    assert epsilon_of([], 1e-5) == 0


@pytest.mark.parametrize(("patients", "target"), [(6, 8.0), (20, 1.0), (90, 8.0)])
def test_all_planned_rounds_together_stay_within_the_target_and_use_it(patients: int, target: float) -> None:
    plan = TrainingPlan(target_epsilon=target, rounds=4, steps_per_round=6)
    spend = spend_of_round(plan, patients)
    assert spend is not None
    assert 0.95 * target < epsilon_of([spend] * plan.rounds, plan.delta) <= target
    assert epsilon_of([spend] * (plan.rounds + 1), plan.delta) > target


def test_a_loss_is_never_below_zero() -> None:
    # One patient in a hundred, once: both accountants say some -4e-5.
    assert epsilon_of([Charge(noise_multiplier=3.5, sample_rate=1 / 90, steps=1)], 0.01) == 0


def test_delta_above_one_over_the_patients_is_refused() -> None:
    plan = TrainingPlan(delta=0.02)
    assert spend_of_round(plan, 50) is not None
    with pytest.raises(InputError, match="1/51"):
        spend_of_round(plan, 51)


def test_a_delta_that_rounding_errors_would_hide_is_no_plan_and_is_not_counted_with() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to"):
        TrainingPlan(delta=1e-14)
    one = Charge(noise_multiplier=2.2, sample_rate=0.3, steps=8)
    with pytest.raises(InputError, match="use 1e-09 or more"):
        epsilon_of([one], 1e-14)
    assert epsilon_of([one] * 100, LEAST_DELTA) > epsilon_of([one] * 100, 1e-6)


def test_a_plan_without_protection_spends_no_budget() -> None:
    assert spend_of_round(TrainingPlan(target_epsilon=None, delta=0.5), 100) is None


def test_a_site_without_patients_is_told_so() -> None:
    with pytest.raises(InputError, match="no patient"):
        spend_of_round(TrainingPlan(), 0)


def test_a_site_with_one_patient_pays_for_every_step() -> None:
    plan = TrainingPlan(delta=0.1, target_epsilon=4.0)
    spend = spend_of_round(plan, 1)
    assert spend is not None
    assert spend.sample_rate == 1
    assert 3.8 < epsilon_of([spend] * plan.rounds, plan.delta) <= 4


def _exact_epsilon(sigma: float, rate: float, delta: float) -> float:
    """The epsilon of one subsampled step by integrating its hockey-stick divergences, both ways round."""
    x = np.linspace(-30 * sigma, 1 + 30 * sigma, 400_001)
    without = norm.pdf(x, 0, sigma)
    included = (1 - rate) * without + rate * norm.pdf(x, 1, sigma)

    def excess(epsilon: float) -> float:
        pairs = ((included, without), (without, included))
        return max(float(np.trapezoid(np.maximum(p - math.exp(epsilon) * q, 0), x)) for p, q in pairs) - delta

    return float(brentq(excess, 0, 50))


@pytest.mark.parametrize(("sigma", "rate"), [(0.8, 0.3), (1.5, 0.1), (1.0, 1.0)])
def test_one_step_costs_no_less_than_its_exact_loss_and_prv_is_within_one_percent(sigma: float, rate: float) -> None:
    accountant = PRVAccountant()
    accountant.step(noise_multiplier=sigma, sample_rate=rate)
    exact = _exact_epsilon(sigma, rate, 1e-4)
    assert accountant.get_epsilon(delta=1e-4) == pytest.approx(exact, rel=0.01, abs=0.02)
    spend = Charge(noise_multiplier=sigma, sample_rate=rate, steps=1)
    assert epsilon_of([spend], 1e-4) >= exact * 0.999


def test_many_full_steps_are_one_gaussian_mechanism_of_less_noise() -> None:
    # Without sampling, T steps of sigma are one step of sigma / sqrt(T) (Dong, Roth and Su 2019, arXiv 1905.02383).
    exact = _exact_epsilon(4.0 / math.sqrt(16), 1.0, 1e-4)
    accountant = PRVAccountant()
    for _ in range(16):
        accountant.step(noise_multiplier=4.0, sample_rate=1.0)
    assert accountant.get_epsilon(delta=1e-4) == pytest.approx(exact, rel=0.01)


# As hospitals train: a few patients, a large share of which is in each step.
AT_SITES = [[(1.0, 0.25, 24)], [(0.7, 0.1, 8), (1.1, 0.3, 16), (2.5, 0.6, 40)]]
# dp-accounting leaves orders below two out where its series does not converge, and is looser then.
WHOLE_ORDERS = list(range(2, 64))


@pytest.mark.parametrize("rows", [*HISTORIES, *AT_SITES])
def test_an_independent_accountant_agrees(rows: list[tuple[float, float, int]]) -> None:
    dp = pytest.importorskip("dp_accounting", reason="the independent accountant is not installed")
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    by_loss, by_moments = PLDAccountant(), RdpAccountant(WHOLE_ORDERS)
    for accountant in (by_loss, by_moments):
        for sigma, rate, steps in rows:
            accountant.compose(dp.PoissonSampledDpEvent(rate, dp.GaussianDpEvent(sigma)), steps)
    prv, rdp = PRVAccountant(), RDPAccountant()
    prv.history = rdp.history = list(rows)
    assert prv.get_epsilon(delta=1e-3) == pytest.approx(by_loss.get_epsilon(1e-3), rel=0.01)
    assert rdp.get_epsilon(delta=1e-3, alphas=WHOLE_ORDERS) == pytest.approx(by_moments.get_epsilon(1e-3), rel=1e-9)
    history = [Charge(noise_multiplier=sigma, sample_rate=rate, steps=steps) for sigma, rate, steps in rows]
    ours = epsilon_of(history, 1e-3)
    assert ours == pytest.approx(max(prv.get_epsilon(delta=1e-3), rdp.get_epsilon(delta=1e-3)), rel=1e-9)
    assert ours >= by_loss.get_epsilon(1e-3), "never less than the tightest that is known"
