"""Sites and coordinator hand each other files: figures of a model, their intervals, and a judge fitted anew."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import Result
from toy_patients import toy_dataset
from typer.testing import CliRunner

from client.commands import site
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import ModelCard, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import build
from server.federation_commands import federation

SITES = "AB"
PATIENTS = 8


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two sites of small patients, a network that knows nothing, and what both sites tell of it."""
    folder = tmp_path_factory.mktemp("answers")
    network = NetworkConfig(channels=(8, 8), norm_groups=4)
    model = folder / "model.safetensors"
    save_checkpoint(model, network, weights_of(build(network)), ModelCard(name="m", data="d", recipe={}, metrics={}))
    for name in SITES:
        toy_dataset(folder / name, PATIENTS, site=name)
    made = SimpleNamespace(folder=folder, model=model)
    for name in SITES:
        _site(made, name, "evaluate", "--out", folder / f"figures-{name}.json")
    return made


def _site(place: SimpleNamespace, name: str, command: str, *more: object) -> Result:
    fixed = (place.folder / name, "--state", place.folder / f"state-{name}", "--model", place.model)
    return _run(site, command, *fixed, *more)


def _run(group: object, *arguments: object) -> Result:
    result = CliRunner().invoke(group, [str(one) for one in arguments])  # type: ignore[arg-type]
    if isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def _files(place: SimpleNamespace, stem: str) -> list[Path]:
    return [place.folder / f"{stem}-{name}.json" for name in SITES]


def test_intervals_come_with_the_second_exchange(place: SimpleNamespace) -> None:
    out = place.folder / "evaluation"
    first = _run(federation, "evaluate", *_files(place, "figures"), "--out", out)
    assert "ranking.json" in first.output
    before = json.loads((out / "evaluation.json").read_text("utf-8"))["together"]
    for name in SITES:
        ranking = out / "ranking.json"
        _site(place, name, "evaluate", "--ranking", ranking, "--out", place.folder / f"spread-{name}.json")
    spreads = [word for path in _files(place, "spread") for word in ("--spread", path)]
    _run(federation, "evaluate", *_files(place, "figures"), *spreads, "--out", out)
    after = json.loads((out / "evaluation.json").read_text("utf-8"))["together"]
    assert before["average_precision"]["low"] is None
    assert after["average_precision"]["low"] is not None
    assert after["average_precision"]["value"] == before["average_precision"]["value"]

    here = place.folder / "here"
    folders = [place.folder / name for name in SITES]
    _run(federation, "evaluate", *folders, "--model", place.model, "--out", here)
    assert json.loads((here / "evaluation.json").read_text("utf-8"))["together"] == after


def test_what_leaves_names_no_patient(place: SimpleNamespace) -> None:
    for path in _files(place, "figures"):
        text = path.read_text("utf-8")
        assert not any(f"p{number:02d}" in text or f'"s{number}"' in text for number in range(PATIENTS))


def test_a_site_answers_one_ranking_of_a_model(place: SimpleNamespace) -> None:
    out = place.folder / "twice"
    _run(federation, "evaluate", *_files(place, "figures"), "--out", out)
    _site(place, "A", "evaluate", "--ranking", out / "ranking.json", "--out", place.folder / "once.json")
    crafted = json.loads((out / "ranking.json").read_text("utf-8"))
    crafted["table"][0] = list(np.array(crafted["table"][0]) + 1.0)
    (out / "crafted.json").write_text(json.dumps(crafted), "utf-8")
    _site(place, "A", "evaluate", "--ranking", out / "crafted.json", "--out", place.folder / "again.json")
    assert (place.folder / "again.json").read_text("utf-8") == (place.folder / "once.json").read_text("utf-8")


def test_another_ranking_s_answer_is_refused(place: SimpleNamespace) -> None:
    foreign = place.folder / "foreign.json"
    foreign.write_text(json.dumps({"site": "A", "asked": "0" * 64, "influence": None}), "utf-8")
    with pytest.raises(InputError, match="another ranking"):
        _run(federation, "evaluate", *_files(place, "figures"), "--spread", foreign, "--out", place.folder / "bad")
    assert not (place.folder / "bad" / "evaluation.json").exists()


def test_files_of_another_kind_are_refused(place: SimpleNamespace) -> None:
    with pytest.raises(InputError):
        _run(federation, "calibrate", *_files(place, "figures"), "--model", place.model)


def test_a_judge_needs_more_foci_than_these(place: SimpleNamespace) -> None:
    for name in SITES:
        _site(place, name, "scores", "--out", place.folder / f"scores-{name}.json")
    with pytest.raises(InputError, match="benign foci"):
        _run(federation, "calibrate", *_files(place, "scores"), "--model", place.model)
