"""The run as a whole: resuming, the best checkpoint, the folder, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import load_checkpoint, model_hash, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.training.dp import TrainingDivergedError
from fedpsma.training.patches import PatchBatch
from fedpsma.training.supervised import run as run_module
from fedpsma.training.supervised.device import Compute
from fedpsma.training.supervised.recipe import TrainRecipe
from fedpsma.training.supervised.run import Watch, train
from fedpsma.training.supervised.state import fresh_state, restore_state
from fedpsma.training.supervised.task import LICENCE_NOT_STATED, TrainTask, task_of_datasets

TINY = NetworkConfig(channels=(16, 16), norm_groups=4)
CPU = Compute(torch.device("cpu"))
RECIPE = TrainRecipe(steps=14, patch_voxels=16, validate_every=7, learning_rate=1e-3)


@pytest.fixture(scope="module")
def data(toy: Callable[[int], Dataset]) -> Dataset:
    return toy(5)


@pytest.fixture
def task(data: Dataset) -> TrainTask:
    return task_of_datasets([data], RECIPE, TINY, None, name="tiny")


def stop_when(asked: Callable[[int], bool]) -> Watch:
    """Ask to stop as soon as so many steps are taken, or so many times was asked."""
    seen = {"step": 0}
    return Watch(
        on_step=lambda share, step, loss: seen.update(step=step),
        stop=lambda: asked(seen["step"]),
    )


def state_of(out: Path) -> dict[str, object]:
    state = fresh_state(RECIPE, TINY, None, CPU)
    restore_state(out / "state.pt", state)
    moments = [value for entry in state.optimizer.state_dict()["state"].values() for value in entry.values()]
    return {
        "net": model_hash(weights_of(state.net)),
        "average": model_hash(weights_of(state.average)),
        "moments": [float(value.double().sum()) for value in moments],
        "losses": float(state.losses),
        "at": (state.step, state.validated_at, state.best_step, state.best),
    }


def trained(task: TrainTask, out: Path) -> dict[str, object]:
    assert train(task, out, CPU)
    return {**state_of(out), "kept": load_checkpoint(out / "model.safetensors").card.sha256}


@pytest.fixture(scope="module")
def through(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    out = tmp_path_factory.mktemp("runs") / "through"
    return out, trained(task_of_datasets([data], RECIPE, TINY, None, name="tiny"), out)


def test_the_folder_holds_model_card_log_events_and_state(through: tuple[Path, dict[str, object]]) -> None:
    out, _ = through
    names = {path.name for path in out.iterdir() if not path.name.startswith("events.out.tfevents.")}
    assert names == {"model.safetensors", "model.card.json", "log.jsonl", "run.json", "state.pt"}
    assert len(list(out.glob("events.out.tfevents.*"))) == 1
    card = load_checkpoint(out / "model.safetensors").card
    assert "4 synthetic patients of toy" in card.data
    assert card.metrics["studies"] == 1
    assert card.recipe["steps"] == 14
    assert card.epsilon is None
    split = json.loads((out / "run.json").read_text())["split"]
    assert len(split[0]["validation"]) == 1
    assert not set(split[0]["validation"]) & set(split[0]["learning"])


@pytest.mark.parametrize("after", [7, 11])
def test_a_stopped_run_ends_with_the_weights_of_an_uninterrupted_one(
    task: TrainTask, through: tuple[Path, dict[str, object]], tmp_path: Path, after: int
) -> None:
    out, expected = through
    assert not train(task, tmp_path / "run", CPU, stop_when(lambda step: step >= after))
    assert state_of(tmp_path / "run")["at"][0] == after
    assert trained(task, tmp_path / "run") == expected
    assert (tmp_path / "run/log.jsonl").read_text() == (out / "log.jsonl").read_text()


def test_a_stop_during_validation_loses_nothing(
    task: TrainTask, through: tuple[Path, dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"in_validation": False}

    def score(*arguments: object) -> object:
        asked["in_validation"] = True
        return found(*arguments)

    found = run_module.score_study
    monkeypatch.setattr(run_module, "score_study", score)
    assert not train(task, tmp_path / "run", CPU, stop_when(lambda step: asked["in_validation"]))
    monkeypatch.undo()
    assert trained(task, tmp_path / "run") == through[1]


def test_a_run_that_was_killed_goes_on_from_its_last_state_and_forgets_the_log_after_it(
    task: TrainTask, through: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    def killed(share: float, step: int, loss: float | None) -> None:
        if step == 12:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        train(task, tmp_path / "run", CPU, Watch(on_step=killed))
    assert state_of(tmp_path / "run")["at"][0] == 7
    with (tmp_path / "run/log.jsonl").open("a") as stream:
        stream.write('{"step": 12, "tra')
    assert trained(task, tmp_path / "run") == through[1]
    assert (tmp_path / "run/log.jsonl").read_text() == (through[0] / "log.jsonl").read_text()


def test_a_finished_run_is_not_trained_again(task: TrainTask, through: tuple[Path, dict[str, object]]) -> None:
    class _Untouched:
        def batch(self, step: int) -> PatchBatch:
            raise AssertionError("a batch was asked for")

    assert train(replace(task, batches=_Untouched()), through[0], CPU)


def test_the_best_weights_are_kept_and_of_equal_ones_the_earlier(
    task: TrainTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selections = iter([0.4, 0.7, 0.7, 0.6])
    monkeypatch.setattr(run_module, "summary", lambda scores: {"selection": next(selections)})
    recipe = RECIPE.model_copy(update={"steps": 4, "validate_every": 1})
    assert train(replace(task, recipe=recipe), tmp_path / "run", CPU)
    card = load_checkpoint(tmp_path / "run/model.safetensors").card
    assert (card.recipe["best_step"], card.metrics["selection"]) == (2, 0.7)


def test_fine_tuning_measures_its_start_and_names_it(
    data: Dataset, through: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    start = load_checkpoint(through[0] / "model.safetensors")
    task = task_of_datasets([data], RECIPE, TINY, start, name="tuned")
    assert train(task, tmp_path / "run", CPU)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation" in line] == [0, 7, 14]
    assert lines[0]["validation"] == {
        name: value for name, value in start.card.metrics.items() if isinstance(value, int | float)
    }
    card = load_checkpoint(tmp_path / "run/model.safetensors").card
    assert card.recipe["start"]["sha256"] == start.card.sha256


def test_a_start_of_another_size_is_refused(data: Dataset, tmp_path: Path) -> None:
    start = load_checkpoint()
    with pytest.raises(InputError, match="checkpoint"):
        train(task_of_datasets([data], RECIPE, TINY, start, name="x"), tmp_path / "run", CPU)


def test_a_folder_with_another_run_or_with_something_else_is_left_alone(
    task: TrainTask, through: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    other = replace(task, recipe=RECIPE.model_copy(update={"seed": 5}))
    with pytest.raises(InputError, match="differs in recipe"):
        train(other, through[0], CPU)
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="holds no training"):
        train(task, tmp_path, CPU)


def test_a_loss_that_is_not_finite_ends_the_run_and_is_not_saved(
    task: TrainTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPE.model_copy(update={"learning_rate": 1e30, "largest_gradient_norm": 1e30})
    with pytest.raises(TrainingDivergedError, match="learning rate"):
        train(replace(task, recipe=recipe), tmp_path / "run", CPU)
    assert not (tmp_path / "run/state.pt").exists() or torch.isfinite(
        torch.tensor(state_of(tmp_path / "run")["losses"])
    )


def test_a_budget_of_time_ends_the_run(task: TrainTask, tmp_path: Path) -> None:
    recipe = TrainRecipe(minutes=0.01, patch_voxels=16, learning_rate=1e-3)
    assert train(replace(task, recipe=recipe), tmp_path / "run", CPU)
    assert load_checkpoint(tmp_path / "run/model.safetensors").card.recipe["best_step"] > 0


def test_the_licence_of_weights_from_real_patients_is_not_made_up(data: Dataset) -> None:
    real = replace(data, info=data.info.model_copy(update={"synthetic": False, "licence": "CC-BY-4.0"}))
    task = task_of_datasets([real], RECIPE, TINY, None, name="x")
    assert task.licence == LICENCE_NOT_STATED
    assert task.data == "4 real patients of toy (CC-BY-4.0)"
