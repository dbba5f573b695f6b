"""What a site keeps for itself, and what is added to its steps: against plain formulas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fedpsma.contract import CONTROL, LEAST_CLIP_NORM, MOST_CLIP_NORM, TrainingPlan
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import build
from fedpsma.training.local_rules import (
    RoundMemory,
    at_bound,
    correction,
    kept_names,
    own_control,
    split_control,
    to_keep,
    to_release,
    with_bound,
    with_own,
)
from fedpsma.training.site_round import train_round
from fedpsma.training.steering import Steering

SMALL = NetworkConfig(channels=(8, 8), norm_groups=4)
PLAN = TrainingPlan(steps_per_round=3, patients_per_step=2, patch_voxels=16, seed=1, scope="all", learning_rate=0.05)


def test_the_names_that_stay_are_those_of_all_group_norms_or_of_the_head() -> None:
    net = build(SMALL)
    normalisation = {
        f"{name}.{own}"
        for name, module in net.named_modules()
        if isinstance(module, nn.GroupNorm)
        for own in ("weight", "bias")
    }
    names = [name for name, _ in net.named_parameters()]
    assert kept_names(names, "normalisation") == normalisation
    assert kept_names(names, "head") == {"voxel_head.weight", "voxel_head.bias"}
    assert not kept_names(names, "nothing")


def test_own_parameters_never_leave_and_come_back_in_the_next_round(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"kept_at_site": "head"})
    sent = {"voxel_head.bias": np.zeros(3, np.float32), "stem.weight": np.zeros(2, np.float32)}
    memory = RoundMemory.of_run(tmp_path, "run")
    assert with_own(sent, memory.before(1), plan) == sent
    trained = {name: array + 1 for name, array in sent.items()}
    memory.keep(1, to_keep(plan, sent, trained, None))
    released = to_release(plan, sent, trained)
    assert released["voxel_head.bias"] is sent["voxel_head.bias"]
    np.testing.assert_array_equal(released["stem.weight"], 1)
    start = with_own(sent, memory.before(2), plan)
    np.testing.assert_array_equal(start["voxel_head.bias"], 1)
    np.testing.assert_array_equal(start["stem.weight"], 0)
    assert memory.before(1) == {}, "a round that is repeated starts from where it started"


def test_the_memory_keeps_two_rounds_of_each_run_and_the_name_of_a_run_is_no_path(tmp_path: Path) -> None:
    memory = RoundMemory.of_run(tmp_path / "state", "../../outside")
    for number in (1, 2, 3):
        memory.keep(number, {"control/a": np.full(1, number, np.float32)})
    assert [float(memory.before(number).get("control/a", np.zeros(1))[0]) for number in (2, 3, 4)] == [0, 2, 3]
    assert all((tmp_path / "state") in path.parents for path in tmp_path.rglob("*.safetensors"))
    assert RoundMemory.of_run(tmp_path / "state", "other").before(4) == {}
    memory.keep(5, {})
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_an_adaptive_bound_stays_at_the_site_and_the_next_round_goes_on_from_it(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"clipping": "adaptive", "clip_norm": 1.0})
    sent = {"stem.weight": np.zeros(2, np.float32)}
    trained = with_bound(sent, plan, 0.25)
    memory = RoundMemory.of_run(tmp_path, "run")
    memory.keep(1, to_keep(plan, sent, trained, None))
    assert to_release(plan, sent, trained).keys() == sent.keys()
    assert at_bound(plan, memory.before(2)).clip_norm == 0.25
    assert at_bound(plan, memory.before(1)).clip_norm == 1.0, "a round that is repeated begins where it began"
    flat = plan.model_copy(update={"clipping": "flat"})
    assert with_bound(sent, flat, 0.25) is sent
    assert at_bound(flat, memory.before(2)).clip_norm == 1.0


@pytest.mark.parametrize(("kept", "begun"), [(0.0, LEAST_CLIP_NORM), (np.inf, MOST_CLIP_NORM)])
def test_a_bound_that_was_kept_at_zero_or_infinity_begins_within_the_limits(kept: float, begun: float) -> None:
    plan = PLAN.model_copy(update={"clipping": "adaptive"})
    assert at_bound(plan, with_bound({}, plan, kept)).clip_norm == begun


def test_of_older_rounds_the_own_parameters_stay_and_nothing_else(tmp_path: Path) -> None:
    memory = RoundMemory.of_run(tmp_path, "run")
    for number in (1, 2, 3, 4):
        memory.keep(number, {name: np.full(1, number, np.float32) for name in ("own/a", "control/a")})
    kept = [memory.before(number) for number in (2, 3, 4, 5)]
    assert [float(one["own/a"][0]) for one in kept] == [1, 2, 3, 4]
    assert ["control/a" in one for one in kept] == [False, False, True, True]


def test_the_control_variate_is_that_of_the_last_round_that_counted(tmp_path: Path) -> None:
    memory = RoundMemory.of_run(tmp_path, "run")
    counted = 0
    for number in (1, 2, 3, 4, 5):
        kept = memory.before(number, counted)
        assert float(kept.get("control/a", np.zeros(1))[0]) == counted
        assert float(kept.get("own/a", np.zeros(1))[0]) == number - 1, "its own parameters go on whatever counted"
        memory.keep(number, {name: np.full(1, number, np.float32) for name in ("own/a", "control/a")}, counted)
        if number == 1:
            counted = 1
    assert memory.before(6)["control/a"] == 5
    assert memory.before(6, 5)["control/a"] == 5
    assert "control/a" not in memory.before(6, 0)


def test_control_variates_are_split_off_and_follow_option_two() -> None:
    rng = np.random.default_rng(1)
    before, after, common, own = ({"a": rng.normal(size=3).astype(np.float32)} for _ in range(4))
    weights, control = split_control(before | {f"{CONTROL}a": common["a"]})
    assert weights == before
    steering = correction(control, {f"{CONTROL}a": own["a"]})
    assert steering is not None
    np.testing.assert_array_equal(steering["a"], common["a"] - own["a"])
    expected = own["a"] - common["a"] + (before["a"] - after["a"]) / (3 * 0.05)
    np.testing.assert_allclose(own_control(before, after, steering, PLAN)["a"], expected, rtol=1e-4, atol=1e-5)
    assert correction({}, {}) is None


def test_the_proximal_gradient_is_that_of_the_squared_distance() -> None:
    """Autograd on mu / 2 * |w - w0|^2, the squared form: the plain norm would give a gradient of constant length."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 2).double()
    parameters = dict(layer.named_parameters())
    steering = Steering.of(parameters, 0.7)
    anchor = [value.detach().clone() for value in parameters.values()]
    with torch.no_grad():
        for value in parameters.values():
            value.add_(torch.randn_like(value))
    term = 0.7 / 2 * sum(((value - start) ** 2).sum() for value, start in zip(parameters.values(), anchor, strict=True))
    wanted = torch.cat([one.reshape(-1) for one in torch.autograd.grad(term, list(parameters.values()))])
    given = torch.randn(wanted.numel(), dtype=torch.float64)
    found = steering.added_to(given, list(parameters.values()))
    torch.testing.assert_close(found, given + wanted, rtol=1e-12, atol=1e-12)


def test_without_either_term_a_gradient_stays_the_same_object() -> None:
    layer = nn.Linear(2, 2)
    steering = Steering.of(dict(layer.named_parameters()), 0.0)
    gradient = torch.ones(6, dtype=torch.float64)
    assert steering.added_to(gradient, list(layer.parameters())) is gradient


@pytest.fixture(scope="module")
def site(toy: Callable[[int], Dataset]) -> Dataset:
    return toy(4)


def _moved(site: Dataset, **changes: object) -> float:
    start = weights_of(build(SMALL))
    more = {"correction": changes.pop("correction")} if "correction" in changes else {}
    plan = PLAN.model_copy(update={"target_epsilon": None, "delta": 0.05, **changes})
    found = train_round(start, site, plan, 1, "A", network=SMALL, **more).weights
    return float(np.sqrt(sum(np.sum((found[name].astype(np.float64) - start[name]) ** 2) for name in start)))


def test_a_strong_pull_keeps_the_weights_near_where_the_round_began(site: Dataset) -> None:
    free = _moved(site)
    # At a learning rate of 1 / mu each step first goes all the way back.
    held = _moved(site, proximal_mu=20.0)
    assert 0 < held < free


def test_a_correction_moves_every_step_by_the_learning_rate(site: Dataset) -> None:
    """With patients that are never drawn, the correction alone moves the weights: steps times rate times it."""
    start = weights_of(build(SMALL))
    steering = {name: np.full_like(array, 0.01) for name, array in start.items()}
    plan = PLAN.model_copy(update={"target_epsilon": None, "delta": 0.05, "patients_per_step": 1e-9})
    found = train_round(start, site, plan, 1, "A", network=SMALL, correction=steering).weights
    for name in start:
        np.testing.assert_allclose(found[name] - start[name], -3 * 0.05 * 0.01, rtol=1e-2, atol=1e-6)
