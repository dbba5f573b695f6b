"""Which backend words a report, what its provenance says, and what becomes of a model that is missing or damaged."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from fedpsma.errors import InputError
from reporting.backend import choose_backend
from reporting.drafting import WriterOrigin
from reporting.llm import store
from reporting.sentences import SentenceRequest

REQUEST = SentenceRequest(("class:indeterminate",), ("site",), fallback="{site}.")


@pytest.fixture
def ready(tmp_path, monkeypatch):
    """A language model that looks as if it were there; the cache is the test's own."""
    folder = tmp_path / "base"
    folder.mkdir()
    save_file({"weight": np.zeros(4, np.float32)}, folder / "model.safetensors")
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(store, "require_model", lambda: folder)
    return folder


class Loaded:
    """Counts what it is asked."""

    name = "loaded"

    def __init__(self):
        self.asked = []

    def write(self, requests, *, attempt=0):
        self.asked.append((len(requests), attempt))
        return ["{site}: worded."] * len(requests)


@pytest.fixture
def loaded(monkeypatch):
    from reporting.llm.writer import LanguageModelWriter

    writer = Loaded()
    monkeypatch.setattr(LanguageModelWriter, "load", lambda *_, **__: writer)
    return writer


def test_origin_names_the_model_and_the_hash_of_its_adapter(ready):
    weights = (store.shipped_adapter() / "adapter_model.safetensors").read_bytes()
    backend = choose_backend("auto", "en")
    assert backend.origin == WriterOrigin("base", f"sha256:{hashlib.sha256(weights).hexdigest()[:16]}")
    assert backend.why == "language model base, in English"
    assert "choosing among the wordings" in choose_backend("auto", "de").why


@pytest.mark.usefixtures("ready")
def test_what_was_worded_once_needs_no_model_again(loaded):
    first, second = choose_backend("llm", "en").writer, choose_backend("llm", "en").writer
    assert first.write([REQUEST, REQUEST]) == second.write([REQUEST, REQUEST]) == ["{site}: worded."] * 2
    assert second.write([REQUEST], attempt=1) == ["{site}: worded."]
    assert loaded.asked == [(1, 0), (1, 1)]


def test_another_model_does_not_read_the_wordings_of_this_one(ready, loaded):
    choose_backend("llm", "en").writer.write([REQUEST])
    save_file({"weight": np.ones(5, np.float32)}, ready / "model.safetensors")
    choose_backend("llm", "en").writer.write([REQUEST])
    assert loaded.asked == [(1, 0), (1, 0)]


@pytest.mark.usefixtures("ready", "loaded")
def test_a_damaged_cache_is_one_clear_line():
    store.cache_folder().mkdir(parents=True)
    (store.cache_folder() / "wordings.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(InputError, match="cache of wordings"):
        choose_backend("llm", "en").writer.write([REQUEST])


def test_without_the_model_auto_takes_templates_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path))
    backend = choose_backend("auto", "en")
    assert backend.origin == WriterOrigin()
    assert "is not on this machine; run: fedpsma model fetch" in backend.why
    with pytest.raises(InputError, match="is not on this machine"):
        choose_backend("llm", "en")


def test_a_damaged_model_is_named_and_auto_goes_on_with_templates(ready):
    weights = ready / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"is damaged .*fetch --again"):
        choose_backend("llm", "en")
    assert "is damaged" in choose_backend("auto", "en").why
    weights.unlink()
    with pytest.raises(InputError, match="holds no weights"):
        choose_backend("llm", "en")


def test_a_folder_is_a_model_or_an_adapter_or_an_error(ready, tmp_path):
    (ready / "config.json").write_text("{}")
    assert choose_backend(str(ready), "en").origin == WriterOrigin("base", None)
    adapter = tmp_path / "adapter"
    shutil.copytree(store.shipped_adapter(), adapter)
    assert choose_backend(str(adapter), "en").origin.adapter == store.embedded_choice().adapter_hash
    other = tmp_path / "other"
    shutil.copytree(ready, other)
    (adapter / "card.json").write_text(json.dumps({"base": {"folder": str(other)}}))
    assert choose_backend(str(adapter), "en").origin.model == "other"
    with pytest.raises(InputError, match="neither a language model nor an adapter"):
        choose_backend(str(tmp_path / "nothing"), "en")
