"""``fedpsma train``: options, messages, and how it is stopped."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fedpsma.commands import train as command
from fedpsma.errors import InputError
from fedpsma.io.dataset import DatasetInfo, StudyRow, write_dataset
from fedpsma.io.nifti import write_volume
from fedpsma.model import presets
from fedpsma.model.checkpoint import load_checkpoint
from fedpsma.model.config import NetworkConfig

TINY = NetworkConfig(channels=(16, 16), norm_groups=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rng, affine, rows = np.random.default_rng(0), np.diag([4.0, 4.0, 4.0, 1.0]), []
    for number in range(4):
        pet = rng.gamma(2, 0.5, (20, 20, 20)).astype(np.float32)
        mask = np.zeros(pet.shape, np.int32)
        mask[5:9, 5:9, 5 + number : 9 + number] = 1
        pet[mask > 0] = 10
        write_volume(folder / f"{number}_pet.nii", pet, affine)
        write_volume(folder / f"{number}_mask.nii", mask, affine)
        names = {"pet": f"{number}_pet.nii", "mask": f"{number}_mask.nii"}
        rows.append(StudyRow(id=f"s{number}", patient=f"p{number}", spacing=(4, 4, 4), **names))
    write_dataset(folder, DatasetInfo(name="noise", site="S", contour="manual"), rows)
    return folder


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "network_preset", lambda name: TINY)


def run(*arguments: object):
    app = typer.Typer()
    app.command()(command.train)
    return CliRunner().invoke(app, [str(one) for one in arguments])


def small_run(data: Path, out: Path, *more: object):
    options = ("--start", "small", "--set", "patch_voxels=16", "--set", "validate_every=2", "--device", "cpu")
    return run(data, "--out", out, *options, *more)


def test_the_model_and_its_figures_are_told(data: Path, tmp_path: Path) -> None:
    done = small_run(data, tmp_path / "mine", "--steps", 4, "--set", "licence=CC-BY-4.0")
    assert done.exit_code == 0, done.output
    card = load_checkpoint(tmp_path / "mine/model.safetensors").card
    assert (card.name, card.licence) == ("mine", "CC-BY-4.0")
    assert card.recipe["learning_rate"] == 1.5e-3
    assert f"model: {tmp_path / 'mine/model.safetensors'}" in done.output
    assert f"best at step {card.recipe['best_step']}: selection" in done.output
    again = small_run(data, tmp_path / "mine", "--steps", 4, "--set", "licence=CC-BY-4.0")
    assert again.exit_code == 0


def test_a_checkpoint_is_tuned_at_a_lower_rate_and_keeps_its_size(data: Path, tmp_path: Path) -> None:
    small_run(data, tmp_path / "first", "--steps", 2)
    start = tmp_path / "first/model.safetensors"
    options = ("--steps", 2, "--set", "patch_voxels=16", "--device", "cpu")
    done = run(data, "--out", tmp_path / "second", "--start", start, *options)
    assert done.exit_code == 0, done.output
    card = load_checkpoint(tmp_path / "second/model.safetensors").card
    assert card.network == TINY
    assert card.recipe["learning_rate"] == 3e-4
    assert card.recipe["start"]["name"] == "first"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_can_be_gone_on_with(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    from fedpsma.training.supervised import run as run_module

    step, before = run_module.train_step, signal.getsignal(number)

    def interrupted(state, *arguments):
        step(state, *arguments)
        if state.step == 2:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(run_module, "train_step", interrupted)
    stopped = small_run(data, tmp_path / "run", "--steps", 6)
    assert stopped.exit_code == 130
    assert "stopping after this step" in stopped.output
    assert signal.getsignal(number) is before
    monkeypatch.undo()
    monkeypatch.setattr(presets, "network_preset", lambda name: TINY)
    assert small_run(data, tmp_path / "run", "--steps", 6).exit_code == 0
    through = small_run(data, tmp_path / "through", "--steps", 6, "--set", "name=run")
    assert through.exit_code == 0
    models = [load_checkpoint(tmp_path / name / "model.safetensors").card.sha256 for name in ("run", "through")]
    assert models[0] == models[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--steps and --minutes: exactly one"),
        (("--steps", 3, "--minutes", 1), "--steps and --minutes: exactly one"),
        (("--steps", 3, "--set", "patch_voxels=32"), "--set: patch_voxels is given twice"),
        (("--steps", 3, "--set", "validation_share=1.5"), "--set validation_share: "),
        (("--steps", 3, "--set", "learning_rat=1"), "--set: 'learning_rat=1' is no setting"),
        (("--steps", 3, "--set", "name=a", "--set", "name=b"), "--set: name is given twice"),
    ],
)
def test_wrong_options_are_named(data: Path, tmp_path: Path, options: tuple[object, ...], message: str) -> None:
    failed = small_run(data, tmp_path / "run", *options)
    assert isinstance(failed.exception, InputError), failed.output
    assert str(failed.exception).startswith(message)
    assert "\n" not in str(failed.exception)
    assert not (tmp_path / "run").exists()


def test_a_patch_that_does_not_fit_the_network_is_refused(data: Path, tmp_path: Path) -> None:
    failed = run(data, "--out", tmp_path / "run", "--start", "small", "--steps", 3, "--set", "patch_voxels=17")
    assert str(failed.exception).startswith("--set patch_voxels: 17 is not a multiple of 2")


def test_a_data_set_given_twice_is_refused(data: Path, tmp_path: Path) -> None:
    failed = small_run(data, tmp_path / "run", data, "--steps", 3)
    assert "is given twice" in str(failed.exception)


def test_the_measure_that_decides_is_stated_in_the_help() -> None:
    text = " ".join(run("--help").output.split())
    assert "mean of lesion average precision and mean Dice of the held-out studies with lesions" in text
