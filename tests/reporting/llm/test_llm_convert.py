from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch

from fedpsma.errors import InputError
from reporting.llm.convert import convert_gguf
from reporting.llm.gguf_file import read_gguf
from reporting.llm.loading import load_base


def test_every_tensor_equals_what_the_gguf_package_reads(tiny_gguf):
    ours = dict(read_gguf(tiny_gguf).tensors())
    theirs = gguf.GGUFReader(tiny_gguf).tensors
    assert {one.name for one in theirs} == set(ours)
    for one in theirs:
        expected = gguf.quants.dequantize(one.data, one.tensor_type)
        assert np.array_equal(ours[one.name], expected.reshape(ours[one.name].shape)), one.name


def test_the_converted_model_speaks_like_the_original(tiny_gguf, tiny_model, tmp_path):
    steps = []
    convert_gguf(tiny_gguf, tmp_path, lambda done, total: steps.append((done, total)))
    converted, tokenizer = load_base(tmp_path)
    ids = tokenizer("lymph node with uptake", return_tensors="pt").input_ids
    with torch.inference_mode():
        difference = (converted(ids).logits - tiny_model(ids).logits).abs().max()
        scale = tiny_model(ids).logits.std()
    assert difference < 0.2 * scale  # Q8_0 costs a tenth of the scale, wrongly ordered heads more than twice the scale
    assert steps[-1] == (len(steps), len(steps))


def test_the_converted_tokenizer_gives_back_the_text_and_splits_digits(tiny_gguf, tmp_path):
    convert_gguf(tiny_gguf, tmp_path)
    _, tokenizer = load_base(tmp_path)
    text = "{site}: uptake (SUVmax 12.3), Größe  unchanged\n"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.eos_token == "<|im_end|>"
    assert len(tokenizer("<|im_end|>").input_ids) == 1


@pytest.mark.parametrize(
    "damage", [lambda raw: b"GGML" + raw[4:], lambda raw: raw[:200], lambda raw: raw[:4] + b"\x09" + raw[5:]]
)
def test_a_damaged_file_is_an_input_error(tiny_gguf, damage):
    tiny_gguf.write_bytes(damage(tiny_gguf.read_bytes()))
    with pytest.raises(InputError, match="not a readable GGUF file"):
        read_gguf(tiny_gguf)


def test_an_empty_file_is_an_input_error(tmp_path):
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(InputError, match="not a readable GGUF file"):
        read_gguf(tmp_path / "empty.gguf")
