"""The real model with the adapter that comes with fedpsma."""

from __future__ import annotations

import hashlib
import json

import pytest

from fedpsma.errors import InputError
from reporting.llm.corpus import draw_examples
from reporting.llm.evaluate import as_request, measure
from reporting.llm.store import embedded_model, require_model, shipped_adapter
from reporting.llm.writer import LanguageModelWriter, WriterConfig


@pytest.fixture(scope="module")
def model_folder():
    try:
        return require_model()
    except InputError as error:
        pytest.skip(str(error))


def test_the_shipped_adapter_is_the_one_its_card_speaks_of_and_small():
    folder = shipped_adapter()
    card = json.loads((folder / "card.json").read_text("utf-8"))
    weights = (folder / "adapter_model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card["adapter_sha256"]
    assert card["base"]["weights_sha256"] == embedded_model().weights_sha256
    assert len(weights) <= 5 * 2**20
    assert card["held_out"]["with grammar"]["sentences"] >= 200
    assert card["held_out"]["with grammar"]["fallback_rate"] <= 0.05


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_real_model_words_unseen_combinations(model_folder):
    examples = draw_examples(16, 99, held_out=True)
    writer = LanguageModelWriter.load(model_folder, config=WriterConfig(checked=False))
    quality = measure(writer, examples)
    assert quality.placeholders == quality.finished == 16
    assert quality.usable >= 14
    again = LanguageModelWriter.load(model_folder)
    requests = [as_request(example) for example in examples[:4]]
    kept = [text for text in again.write(requests) if text is not None]
    assert set(kept) <= set(writer.write(requests))
