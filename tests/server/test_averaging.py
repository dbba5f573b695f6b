"""The mean of the weights over the rounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_sites import small_site, untrained

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import load_checkpoint
from server.averaging import averaged
from server.run_folder import RunFolder
from server.simulation import SimulationConfig, SimulationResult, simulate

DECAY = 0.5
PLAN = TrainingPlan(
    rounds=3,
    steps_per_round=1,
    patients_per_step=3,
    patches_per_patient=1,
    patch_voxels=16,
    target_epsilon=None,
    seed=5,
)


def test_a_mean_of_equal_weights_is_these_weights() -> None:
    weights = {"a": np.array([1.5, -2.0], np.float32)}
    after = averaged(weights, weights, 7, 0.9)
    np.testing.assert_array_equal(after["a"], weights["a"])
    assert after["a"].dtype == np.float32


def test_the_start_is_soon_forgotten_and_later_rounds_count_by_the_decay() -> None:
    zero, one = {"a": np.zeros(1)}, {"a": np.ones(1)}
    assert averaged(zero, one, 1, 0.99)["a"][0] == pytest.approx(1 - 2 / 11)
    assert averaged(zero, one, 10_000, 0.99)["a"][0] == pytest.approx(0.01)


def _simulated(folder: Path, out: str, averaging: float | None) -> SimulationResult:
    datasets = [folder / name for name in ("north", "south")]
    start = folder / "start.safetensors"
    if not start.exists():
        untrained(start)
        for seed, path in enumerate(datasets):
            small_site(path, path.name, np.random.default_rng(seed))
    config = {"datasets": datasets, "out": folder / out, "init": start, "plan": PLAN, "averaging": averaging}
    return simulate(SimulationConfig.model_validate(config))


def test_a_run_ends_with_the_mean_and_goes_on_from_the_last_weights(tmp_path: Path) -> None:
    plain, mean = _simulated(tmp_path, "plain", None), _simulated(tmp_path, "mean", DECAY)
    rounds = [RunFolder(mean.folder).checkpoint_path(number) for number in range(PLAN.rounds + 1)]
    weights = [load_checkpoint(path).weights for path in rounds]
    expected = weights[0]
    for number in range(1, PLAN.rounds + 1):
        expected = averaged(expected, weights[number], number, DECAY)
    model = load_checkpoint(mean.model)
    for name, array in expected.items():
        np.testing.assert_array_equal(model.weights[name], array)
        np.testing.assert_array_equal(weights[-1][name], load_checkpoint(plain.model).weights[name])
    assert mean.model_sha256 == model.card.sha256 != plain.model_sha256
    ended = RunFolder(mean.folder).events.read()[0][-1]
    assert ended.model_sha256 == model.card.sha256


def test_an_interrupted_run_ends_with_the_same_mean(tmp_path: Path) -> None:
    whole = _simulated(tmp_path, "whole", DECAY)
    again = RunFolder(whole.folder)
    again.checkpoint_path(3).with_suffix(".json").unlink()
    again.model_path.unlink()
    assert _simulated(tmp_path, "whole", DECAY).model_sha256 == whole.model_sha256


def test_a_run_is_not_gone_on_with_under_another_mean(tmp_path: Path) -> None:
    _simulated(tmp_path, "run", DECAY)
    with pytest.raises(InputError, match="other settings"):
        _simulated(tmp_path, "run", 0.9)
