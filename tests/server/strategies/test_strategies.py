"""Every strategy against the formula of its paper in plain float64, and Flower's Krum against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from fedpsma.contract import CONTROL, SecureAggregation, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Weights
from server.flower import take_identity
from server.strategies import Strategy
from server.strategies.rule import Given, Rule, named

PLAN = TrainingPlan(steps_per_round=4, learning_rate=0.05)
NAMES = (
    "fedavg",
    "fedadam",
    "fedyogi",
    "fedmedian",
    "trimmed_mean",
    "krum",
    "multi_krum",
    "fedprox",
    "scaffold",
    "fedbn",
    "personal_head",
)


def _rule(name: str, **settings: object) -> Rule:
    return TypeAdapter(Strategy).validate_python({"name": name, **settings})


def _updates(count: int, seed: int = 0) -> dict[str, Weights]:
    rng = np.random.default_rng(seed)
    return {
        f"s{number}": {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=4), "frozen": np.zeros(5)}
        for number in range(count)
    }


def _given(updates: dict[str, Weights], **more: object) -> Given:
    take_identity()
    return Given(round=more.pop("round", 1), plan=PLAN, updates=updates, sites=more.pop("sites", len(updates)), **more)


def _stack(updates: dict[str, Weights], name: str) -> np.ndarray:
    return np.stack([updates[site][name] for site in sorted(updates)])


def test_each_strategy_is_known_by_its_name() -> None:
    assert [_rule(name).name for name in NAMES] == list(NAMES)
    with pytest.raises(ValidationError):
        _rule("fedsgd")
    with pytest.raises(ValidationError):
        _rule("fedavg", mu=0.1)


@pytest.mark.parametrize(
    ("name", "setting"),
    [("fedadam", "learning_rate"), ("fedyogi", "tau"), ("scaffold", "learning_rate"), ("fedprox", "mu")],
)
@pytest.mark.parametrize("value", [np.inf, "inf", np.nan])
def test_no_setting_is_infinite(name: str, setting: str, value: object) -> None:
    with pytest.raises(ValidationError, match="finite"):
        _rule(name, **{setting: value})


@pytest.mark.parametrize("name", NAMES)
def test_what_no_site_trained_is_not_moved_and_the_order_of_the_replies_does_not_matter(name: str) -> None:
    updates = _updates(7)
    step = _rule(name).aggregate(_given(updates)).step
    np.testing.assert_array_equal(step["frozen"], 0)
    turned = _rule(name).aggregate(_given(dict(reversed(updates.items())))).step
    for key, value in step.items():
        assert value.dtype == np.float64
        np.testing.assert_array_equal(value, turned[key])


@pytest.mark.parametrize("name", ["fedavg", "fedprox", "scaffold", "fedbn", "personal_head"])
def test_the_mean_counts_every_site_alike_or_by_what_it_registered(name: str) -> None:
    updates = _updates(3)
    even = _rule(name).aggregate(_given(updates)).step
    np.testing.assert_allclose(even["a"], _stack(updates, "a").mean(axis=0), rtol=1e-12)
    patients = {"s0": 10, "s1": 30, "s2": 60, "absent": 900}
    weighed = _rule(name, weighting="patients").aggregate(_given(updates, patients=patients)).step
    np.testing.assert_allclose(
        weighed["b"], np.average(_stack(updates, "b"), axis=0, weights=[0.1, 0.3, 0.6]), rtol=1e-12
    )


@pytest.mark.parametrize("patients", [{}, {"s0": None, "s1": None}, {"s0": None, "s1": 3}])
def test_no_site_counts_for_nothing(patients: dict[str, int | None]) -> None:
    rule, updates = _rule("fedavg", weighting="patients"), _updates(2)
    with pytest.raises(InputError, match=r"^s0.*registered no number of patients"):
        rule.aggregate(_given(updates, patients=patients))
    with pytest.raises(InputError, match="s0: registered no number"):
        rule.require_counts({"s0": None, "s1": 3}, None)
    rule.require_counts({"s0": None, "s1": 3}, SecureAggregation(most_patients=5))
    for sound in (_rule("fedavg"), _rule("krum")):
        sound.require_counts({"s0": None}, None)


@given(st.integers(3, 9), st.integers(0, 50))
@settings(max_examples=20)
def test_median_and_trimmed_mean(count: int, seed: int) -> None:
    updates = _updates(count, seed)
    median = _rule("fedmedian").aggregate(_given(updates)).step
    np.testing.assert_array_equal(median["a"], np.median(_stack(updates, "a"), axis=0))
    for trimmed in range(1, (count - 1) // 2 + 1):
        rule = _rule("trimmed_mean", trimmed=trimmed)
        assert count >= rule.least_updates
        inner = np.sort(_stack(updates, "b"), axis=0)[trimmed : count - trimmed]
        np.testing.assert_allclose(rule.aggregate(_given(updates)).step["b"], inner.mean(axis=0), rtol=1e-12)


def _krum_scores(updates: dict[str, Weights], malicious: int) -> np.ndarray:
    flat = np.stack([np.concatenate([one[key].ravel() for key in sorted(one)]) for one in updates.values()])
    squared = np.array([[np.sum((one - other) ** 2) for other in flat] for one in flat])
    nearest = len(flat) - malicious - 2
    return np.array([np.sort(np.delete(row, at))[:nearest].sum() for at, row in enumerate(squared)])


@given(st.integers(5, 9), st.integers(0, 50))
@settings(max_examples=20)
def test_krum_takes_the_update_nearest_to_its_neighbours(count: int, seed: int) -> None:
    updates = _updates(count, seed)
    scores = _krum_scores(updates, malicious=1)
    best = f"s{int(np.argmin(scores))}"
    np.testing.assert_array_equal(_rule("krum").aggregate(_given(updates)).step["a"], updates[best]["a"])
    kept = np.sort(np.argsort(scores)[: count - 1])
    several = _rule("multi_krum").aggregate(_given(updates)).step
    np.testing.assert_allclose(several["a"], _stack(updates, "a")[kept].mean(axis=0), rtol=1e-12)


def test_krum_tells_tiny_updates_of_large_weights_apart() -> None:
    """Between whole models of this size the distances would be lost in rounding."""
    updates = {f"s{number}": {"a": np.full(10, 1e-6 * (1 + number / 10))} for number in range(4)}
    updates["s4"] = {"a": np.full(10, -1e-6)}
    step = _rule("multi_krum").aggregate(_given(updates)).step
    np.testing.assert_allclose(step["a"], 1e-6 * 1.15, rtol=1e-9)


def test_adam_and_yogi_follow_their_papers_over_rounds() -> None:
    eta, beta_1, beta_2, tau = 0.02, 0.8, 0.95, 1e-3
    setting = {"learning_rate": eta, "beta_1": beta_1, "beta_2": beta_2, "tau": tau}
    for name in ("fedadam", "fedyogi"):
        memory: Weights = {}
        m, v = np.zeros((3, 2)), np.zeros((3, 2))
        for number in (1, 2, 3):
            updates = _updates(3, seed=number)
            made = _rule(name, **setting).aggregate(_given(updates, round=number, memory=memory))
            memory = made.memory
            change = _stack(updates, "a").mean(axis=0)
            m = beta_1 * m + (1 - beta_1) * change
            if name == "fedadam":
                v = beta_2 * v + (1 - beta_2) * change**2
                # Flower corrects the bias of the first rounds as Kingma and Ba do, counting rounds from one ahead.
                rate = eta * np.sqrt(1 - beta_2 ** (number + 1)) / (1 - beta_1 ** (number + 1))
            else:
                v = v - (1 - beta_2) * change**2 * np.sign(v - change**2)
                rate = eta
            np.testing.assert_allclose(made.step["a"], rate * m / (np.sqrt(v) + tau), rtol=1e-9)


def test_scaffold_keeps_the_mean_of_the_sites_variates() -> None:
    """The paper's bookkeeping with one variate a site, against the one the server keeps."""
    rule, rng = _rule("scaffold"), np.random.default_rng(3)
    weights = {"a": np.zeros(4, np.float32)}
    memory: Weights = {}
    own = {f"s{number}": np.zeros(4) for number in range(4)}
    pace = PLAN.steps_per_round * PLAN.learning_rate
    for asked in (("s0", "s1"), ("s1", "s2", "s3"), ("s0", "s1", "s2", "s3")):
        common = named(rule.sent(PLAN, weights, memory), CONTROL)["a"]
        np.testing.assert_allclose(common, np.mean(list(own.values()), axis=0), atol=1e-6)
        updates = {site: {"a": rng.normal(size=4)} for site in asked}
        for site in asked:
            own[site] = own[site] - named(memory, CONTROL).get("a", 0.0) - updates[site]["a"] / pace
        memory = rule.aggregate(_given(updates, sites=4, memory=memory)).memory
    np.testing.assert_allclose(named(memory, CONTROL)["a"], np.mean(list(own.values()), axis=0), rtol=1e-9)


def test_strategies_ask_the_sites_for_what_they_need() -> None:
    assert _rule("fedprox", mu=0.3).plan(PLAN).proximal_mu == 0.3
    assert _rule("scaffold").plan(PLAN).control_variates
    assert _rule("fedbn").plan(PLAN).kept_at_site == "normalisation"
    assert _rule("personal_head").plan(PLAN).kept_at_site == "head"
    assert _rule("fedmedian").plan(PLAN) == PLAN


def test_robust_strategies_say_how_many_updates_they_need() -> None:
    assert {name: _rule(name).least_updates for name in ("fedmedian", "trimmed_mean", "krum", "multi_krum")} == {
        "fedmedian": 3,
        "trimmed_mean": 3,
        "krum": 5,
        "multi_krum": 5,
    }
    assert (_rule("trimmed_mean", trimmed=2).least_updates, _rule("krum", malicious=2).least_updates) == (5, 7)


def test_a_bad_site_that_is_set_aside_need_not_be_withstood_any_more() -> None:
    rule = _rule("multi_krum", malicious=2)
    assert [rule.without(bad).least_updates for bad in (0, 1, 2, 3)] == [7, 5, 3, 3]
    updates = {name: {"a": np.full(2, float(number))} for number, name in enumerate("ABC")}
    step = _rule("multi_krum").without(1).aggregate(_given(updates)).step
    np.testing.assert_allclose(step["a"], 1.0, err_msg="of those left nobody is left out")
    assert _rule("fedavg").without(3) == _rule("fedavg")


@pytest.mark.parametrize("name", ["fedmedian", "trimmed_mean", "krum", "multi_krum"])
@pytest.mark.parametrize("factor", [10.0, -4.0, 1e6])
def test_one_attacker_of_five_does_not_carry_a_robust_strategy_away(name: str, factor: float) -> None:
    rng = np.random.default_rng(5)
    honest = {f"s{number}": {"a": 1 + 0.1 * rng.normal(size=50)} for number in range(5)}
    attacked = honest | {"s2": {"a": factor * honest["s2"]["a"]}}
    step = _rule(name).aggregate(_given(attacked)).step["a"]
    low = np.min([one["a"] for site, one in honest.items() if site != "s2"], axis=0)
    high = np.max([one["a"] for site, one in honest.items() if site != "s2"], axis=0)
    assert np.all((low - 1e-12 <= step) & (step <= high + 1e-12))
    plain = _rule("fedavg").aggregate(_given(attacked)).step["a"]
    assert not np.any((low <= plain) & (plain <= high))


def test_scaffold_refuses_steps_that_its_control_variates_do_not_describe() -> None:
    with pytest.raises(InputError, match="plain gradient descent"):
        _rule("scaffold").plan(PLAN.model_copy(update={"optimizer": "adam"}))
