from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from fedpsma.commands.calibrate import calibrate
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset
from fedpsma.lesions.judge import load_judge
from fedpsma.model.checkpoint import ModelCard, judge_path, load_checkpoint, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import build

SMALL = NetworkConfig(channels=(16, 16), norm_groups=4)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, SMALL, weights_of(build(SMALL)), ModelCard(name="m", data="none", recipe={}, metrics={}))
    return path


def _run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(calibrate)
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_the_judge_is_written_beside_the_model_and_fits_it(toy: Callable[[int], Dataset], model: Path) -> None:
    data = toy(30)
    done = _run(data.folder, "--model", model, "--error-level", 0.1)
    assert done.exit_code == 0, done.output
    judge = load_judge(judge_path(model), load_checkpoint(model).card.sha256)
    assert judge is not None
    assert judge.error_level == 0.1
    assert judge.fitted_on == "30 synthetic patients of toy"
    assert "30 of them lesions" in done.output


def test_too_few_studies_leave_no_judge_behind(toy: Callable[[int], Dataset], model: Path) -> None:
    done = _run(toy(6).folder, "--model", model)
    assert isinstance(done.exception, InputError)
    assert "lesions" in str(done.exception)
    assert not judge_path(model).exists()


def test_what_cannot_be_calibrated_on_is_refused_before_the_network_looks_at_it(
    toy: Callable[[int], Dataset], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedpsma.model.inference.predict", lambda *_: pytest.fail("the network was asked"))
    data = toy(4).folder
    twice = _run(data, data, "--model", model)
    assert "is given twice" in str(twice.exception)
    few = _run(data, "--model", model)
    assert "too few patients to calibrate on; give studies of at least 5 patients" in str(few.exception)
