"""The random Llama of :mod:`tiny_llama` in the forms that tests need."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_llama import CHAT_TEMPLATE, SPECIAL, VOCABULARY, make_model, make_tokenizer, write_model
from transformers import LlamaForCausalLM


@pytest.fixture(scope="session")
def tiny_vocabulary() -> list[str]:
    return VOCABULARY


@pytest.fixture(scope="session")
def tiny_tokenizer():
    return make_tokenizer()


@pytest.fixture
def tiny_model() -> LlamaForCausalLM:
    return make_model()


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny-llama")


@pytest.fixture
def tiny_gguf(tmp_path: Path, tiny_model, tiny_vocabulary) -> Path:
    """The tiny model as GGUF: norms in F32, maps in Q8_0, written by the gguf package."""
    import gguf

    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    config = tiny_model.config
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tiny_vocabulary)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tiny_vocabulary) - len(SPECIAL)))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(CHAT_TEMPLATE)
    for name, values in tiny_model.state_dict().items():
        if name != "lm_head.weight":
            _add_tensor(writer, name, values.numpy(), config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tensor(writer, name, values, config) -> None:
    import gguf

    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
    if heads:  # the layout of llama.cpp: the two halves of a rotary pair side by side
        values = values.reshape(heads, 2, -1, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    kind = gguf.GGMLQuantizationType.F32 if values.ndim == 1 else gguf.GGMLQuantizationType.Q8_0
    stored = gguf.quants.quantize(values, kind)
    writer.add_tensor(names.get_name(name.removesuffix(".weight")) + ".weight", stored, raw_dtype=kind)
