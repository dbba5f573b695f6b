from __future__ import annotations

import pytest
from opacus.accountants import PRVAccountant, RDPAccountant

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.training.accounting import PrivacySpend, epsilon_of, spend_of_round

HISTORIES = [
    [(1.0, 0.1, 20)],
    [(1.2, 0.3, 8), (1.2, 0.3, 8), (0.9, 0.3, 5)],
    [(3.0, 0.02, 60), (1.1, 0.25, 1)],
]


@pytest.mark.parametrize("rows", HISTORIES)
def test_epsilon_is_that_of_opacus_stepped_through_the_whole_history(rows: list[tuple[float, float, int]]) -> None:
    history = [PrivacySpend(noise_multiplier=sigma, sample_rate=rate, steps=steps) for sigma, rate, steps in rows]
    expected = []
    for accountant in (RDPAccountant(), PRVAccountant()):
        for spend in history:
            for _ in range(spend.steps):
                accountant.step(noise_multiplier=spend.noise_multiplier, sample_rate=spend.sample_rate)
        expected.append(accountant.get_epsilon(delta=1e-3))
    assert epsilon_of(history, 1e-3) == pytest.approx(max(expected), abs=1e-9)


def test_ten_rounds_cost_what_was_measured_for_them() -> None:
    # q = 0.1, sigma = 1, 20 steps a round, delta = 1e-5 (RDP): 4.22 after one round, 11.02 after ten.
    one = PrivacySpend(noise_multiplier=1.0, sample_rate=0.1, steps=20)
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


def test_delta_above_one_over_the_patients_is_refused() -> None:
    plan = TrainingPlan(delta=0.02)
    assert spend_of_round(plan, 50) is not None
    with pytest.raises(InputError, match="1/51"):
        spend_of_round(plan, 51)


def test_a_plan_without_protection_spends_no_budget() -> None:
    assert spend_of_round(TrainingPlan(target_epsilon=None, delta=0.5), 100) is None
