from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import load_checkpoint, model_hash, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.training.pretrain import (
    PretrainPlan,
    _draw,
    _fresh,
    _packed,
    _resume,
    _split,
    _state_path,
    _step,
    pretrain,
)
from fedpsma.training.sources import SourceCache

PLAN = PretrainPlan(
    minutes=0.03, patch_voxels=16, held_out_patients=2, network=NetworkConfig(channels=(16, 16), norm_groups=4)
)


@pytest.fixture(scope="module")
def data(toy: Callable[[int], Dataset]) -> Dataset:
    return toy(5)


def test_the_checkpoint_carries_its_recipe_and_figures(data: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "base.safetensors"
    card = pretrain([data], PLAN, out)
    found = load_checkpoint(out)
    assert found.network == PLAN.network
    assert found.card.metrics == card.metrics
    assert found.card.metrics["studies"] == 2
    assert found.card.recipe["steps"] >= 1
    assert "3 synthetic patients" in found.card.data
    assert not _state_path(out).exists()


def test_a_checkpoint_can_be_trained_further(data: Dataset, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    pretrain([data], PLAN, first)
    plan = replace(PLAN, seed=7, start=str(first))
    started, given = weights_of(_fresh(plan).net), load_checkpoint(first).weights
    assert all(np.array_equal(started[name], given[name]) for name in given)
    assert pretrain([data], plan, second).recipe["start_sha256"] == load_checkpoint(first).card.sha256


def test_a_stopped_run_goes_on_as_if_it_had_not_been(data: Dataset, tmp_path: Path) -> None:
    learning, _ = _split([data], PLAN)
    cache, out = SourceCache(), tmp_path / "base.safetensors"

    def steps(state, count: int):
        for _ in range(count):
            _step(state, _draw(learning, cache, PLAN, state.generator), PLAN)
            state.seconds += 0.1
        return state

    through = steps(_fresh(PLAN), 4)
    _state_path(out).write_bytes(_packed(steps(_fresh(PLAN), 2)))
    resumed = steps(_resume(_fresh(PLAN), out), 2)
    assert resumed.step == 4
    assert model_hash(weights_of(resumed.average)) == model_hash(weights_of(through.average))
    assert model_hash(weights_of(resumed.net)) == model_hash(weights_of(through.net))


def test_held_out_patients_are_not_learnt_from(data: Dataset) -> None:
    learning, held_out = _split([data], PLAN)
    assert len(learning) == 3
    assert {patient for _, patient in learning} | {patient for _, patient in held_out} == set(data.patients)
    drawn = _draw(learning, SourceCache(), PretrainPlan(**{**vars(PLAN), "patches_per_step": 40}), torch.Generator())
    assert {draw.source.study.patient_id for draw in drawn} == {patient for _, patient in learning}


def test_too_few_patients_are_refused(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="held out"):
        pretrain([data], PretrainPlan(held_out_patients=5), tmp_path / "x.safetensors")
