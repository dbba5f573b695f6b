"""Pairs by patient, and adapters between their folder and the checkpoint of a federation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from adapter_sites import make_site, make_start
from peft import PeftModel
from tiny_llama import NAME, make_model, write_model
from typer.testing import CliRunner

from fedpsma.errors import InputError
from fedpsma.model.checkpoint import load_checkpoint
from reporting.commands import report
from reporting.llm.adapter import load_adapter
from reporting.llm.adapter_files import pack, unpack
from reporting.llm.corpus import read_corpus
from reporting.llm.pairs import joined, part_of, read_pairs

IDS = torch.arange(3, 60).unsqueeze(0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEDPSMA_CACHE", str(tmp_path / "cache"))
    return write_model(tmp_path / "cache" / NAME).parent


def command(*arguments: object) -> str:
    done = CliRunner().invoke(report, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_corpus_of_a_site_has_a_patient_for_every_pair_and_shares_none_with_its_test(tmp_path):
    command("corpus", "--out", tmp_path / "a", "--site", "A", "--pairs", 60, "--seed", 4)
    pairs = read_pairs(tmp_path / "a")
    assert (pairs.site, pairs.synthetic, len(pairs.examples)) == ("A", True, 60)
    assert 5 < len(pairs.patients) < 40
    assert not set(pairs.patients) & {example.patient for example in read_corpus(tmp_path / "a", "test")}
    command("corpus", "--out", tmp_path / "b", "--site", "B", "--pairs", 60, "--seed", 5)
    assert not set(pairs.patients) & set(read_pairs(tmp_path / "b").patients)


def test_a_corpus_that_names_no_site_or_no_patient_is_refused(tmp_path):
    command("corpus", "--out", tmp_path / "plain", "--pairs", 20)
    with pytest.raises(InputError, match="--site NAME"):
        read_pairs(tmp_path / "plain")
    folder = make_site(tmp_path / "a", "A", {"p1": 2})
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    del lines[0]["patient"]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match="1 of 2 pairs name no patient"):
        read_pairs(folder)


def test_parts_and_the_whole_keep_every_patient_together(tmp_path):
    one = read_pairs(make_site(tmp_path / "a", "A", {"p1": 3, "p2": 1}))
    two = read_pairs(make_site(tmp_path / "b", "B", {"p1": 2}))
    part = part_of(one, {"p1"}, "C", tmp_path / "part")
    assert (part.site, part.patients, len(part.examples)) == ("C", ("p1",), 3)
    assert read_pairs(tmp_path / "part") == part
    whole = joined([one, two], "pool", tmp_path / "whole")
    assert whole.patients == ("A/p1", "A/p2", "B/p1")
    assert read_pairs(tmp_path / "whole") == whole


def test_a_model_of_a_federation_becomes_an_adapter_that_answers_the_same(cache, tmp_path):
    start = load_checkpoint(make_start(tmp_path / "start.safetensors"))
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(0, 0.2, array.shape).astype(np.float32) for name, array in start.weights.items()}
    from reporting.llm.adapter_files import write_start

    write_start(tmp_path / "m.safetensors", start.card.network, weights, name="m", data="synthetic")
    command("adapter", "unpack", tmp_path / "m.safetensors", "--out", tmp_path / "adapter")
    loaded = load_adapter(start.card.network, weights)
    with torch.inference_mode():
        wanted = loaded.model(IDS).logits
        found = PeftModel.from_pretrained(make_model(), str(tmp_path / "adapter")).eval()(IDS).logits
        untuned = make_model()(IDS).logits
    # float16 on disk costs three decimals
    assert torch.allclose(found, wanted, atol=2e-2)
    assert (untuned - wanted).abs().max() > 0.1
    card = json.loads((tmp_path / "adapter" / "card.json").read_text())
    assert card["base"] == {"name": NAME, "folder": str((cache / NAME).resolve())}
    again = pack(tmp_path / "adapter", tmp_path / "again.safetensors")
    assert again.card.network == start.card.network
    assert all(np.allclose(again.weights[name], weights[name], atol=1e-3) for name in weights)


def test_a_fresh_adapter_is_decided_by_its_seed_and_changes_nothing(cache, tmp_path):
    command("adapter", "start", "--out", tmp_path / "a.safetensors", "--model", NAME, "--seed", 7)
    first = load_checkpoint(tmp_path / "a.safetensors")
    command("adapter", "start", "--out", tmp_path / "b.safetensors", "--model", NAME, "--seed", 7)
    assert load_checkpoint(tmp_path / "b.safetensors").card.sha256 == first.card.sha256
    command("adapter", "start", "--out", tmp_path / "c.safetensors", "--model", NAME, "--seed", 8)
    assert load_checkpoint(tmp_path / "c.safetensors").card.sha256 != first.card.sha256
    loaded = load_adapter(first.card.network, first.weights)
    with torch.inference_mode():
        assert torch.equal(loaded.model(IDS).logits, make_model()(IDS).logits)


def test_wrong_input_is_one_clear_line(cache, tmp_path):
    out = tmp_path / "x.safetensors"
    for arguments, what in (
        (("start", "--out", out, "--model", "nothing"), "is not on this machine"),
        (("start", "--out", out, "--model", NAME, "--target", "no_such_map"), "has no linear map"),
        (("start", "--out", tmp_path / "x.bin", "--model", NAME), "is not a name of a checkpoint"),
        (("start", "--out", out, "--adapter", tmp_path), "does not exist"),
    ):
        with pytest.raises(InputError, match=what):
            command("adapter", *arguments)
    assert not out.exists()
    from fedpsma.model.checkpoint import base_path

    with pytest.raises(InputError, match="lesion network, no adapter"):
        unpack(base_path(), tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()
