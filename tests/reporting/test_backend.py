"""Which backend words a report, and what its provenance says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fedpsma.errors import InputError
from reporting.backend import choose_backend
from reporting.drafting import WriterOrigin
from reporting.llm import store


@pytest.fixture
def ready(tmp_path, monkeypatch):
    """A language model that is there, without its weights."""
    from reporting.llm.writer import LanguageModelWriter

    writer = SimpleNamespace(name="language model", model_name="base", adapter_name="sha256:0123456789abcdef")
    monkeypatch.setattr(store, "require_model", lambda: tmp_path)
    monkeypatch.setattr(LanguageModelWriter, "load", lambda *_: writer)
    return writer


def test_origin_names_the_model_and_the_hash_of_its_adapter(ready):
    backend = choose_backend("auto", "en")
    assert backend.writer is ready
    assert backend.origin == WriterOrigin(model="base", adapter="sha256:0123456789abcdef")


def test_without_the_model_auto_takes_templates_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path))
    backend = choose_backend("auto", "en")
    assert backend.origin == WriterOrigin()
    assert "is not on this machine; run: fedpsma model fetch" in backend.why
    with pytest.raises(InputError, match="is not on this machine"):
        choose_backend("llm", "en")


@pytest.mark.usefixtures("ready")
def test_the_model_words_no_german():
    assert choose_backend("auto", "de").origin == WriterOrigin()
    with pytest.raises(InputError, match="English only"):
        choose_backend("llm", "de")
