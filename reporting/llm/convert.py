"""From a GGUF file of the Llama family to a plain transformers folder, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from reporting.llm.gguf_file import GgufFile, read_gguf
from reporting.llm.loading import silence_transformers

Progress = Callable[[int, int], None]

_OUTER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_CONTROL_TOKEN = 3


def convert_gguf(source: Path, folder: Path, progress: Progress | None = None) -> None:
    """Write the model (float16 safetensors) and its tokenizer into an existing folder.

    Args:
        source: The GGUF file.
        folder: Where the files go.
        progress: Called with (tensors done, tensors in all).

    Raises:
        InputError: The file is not readable GGUF.
        ValueError: The model is not of the Llama family with a byte-level BPE tokenizer.
    """
    gguf = read_gguf(source)
    _require_known(gguf.metadata)
    with torch.device("meta"):
        model = LlamaForCausalLM(llama_config(gguf))
    _load_all(model, llama_weights(gguf, progress))
    silence_transformers()
    model.to(torch.float16).save_pretrained(folder)
    build_tokenizer(gguf.metadata).save_pretrained(folder)


def llama_config(gguf: GgufFile) -> LlamaConfig:
    """Read the architecture from the metadata of a GGUF file."""
    metadata = gguf.metadata
    llama = {key.removeprefix("llama."): value for key, value in metadata.items() if key.startswith("llama.")}
    return LlamaConfig(
        vocab_size=llama["vocab_size"],
        hidden_size=llama["embedding_length"],
        intermediate_size=llama["feed_forward_length"],
        num_hidden_layers=llama["block_count"],
        num_attention_heads=llama["attention.head_count"],
        num_key_value_heads=llama["attention.head_count_kv"],
        head_dim=llama["rope.dimension_count"],
        max_position_embeddings=llama["context_length"],
        rms_norm_eps=llama["attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": llama["rope.freq_base"]},
        bos_token_id=metadata["tokenizer.ggml.bos_token_id"],
        eos_token_id=metadata["tokenizer.ggml.eos_token_id"],
        pad_token_id=metadata["tokenizer.ggml.padding_token_id"],
        tie_word_embeddings="output.weight" not in gguf.places,
    )


def llama_weights(gguf: GgufFile, progress: Progress | None = None) -> dict[str, torch.Tensor]:
    """Return the float32 weights by their transformers names."""
    heads = {
        "attn_q": int(gguf.metadata["llama.attention.head_count"]),
        "attn_k": int(gguf.metadata["llama.attention.head_count_kv"]),
    }
    weights = {}
    for done, (name, values) in enumerate(gguf.tensors(), start=1):
        part = name.split(".")[-2]
        ordered = _interleaved_to_halves(values, heads[part]) if part in heads else values
        weights[_transformers_name(name)] = torch.from_numpy(np.array(ordered))
        if progress:
            progress(done, len(gguf.places))
    return weights


def build_tokenizer(metadata: dict[str, Any]) -> PreTrainedTokenizerFast:
    """Build the byte-level BPE tokenizer, digits one by one, with the chat template of the file."""
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = metadata["tokenizer.ggml.token_type"]
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[metadata["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[metadata["tokenizer.ggml.eos_token_id"]],
        pad_token=tokens[metadata["tokenizer.ggml.padding_token_id"]],
        unk_token=tokens[metadata["tokenizer.ggml.unknown_token_id"]],
        chat_template=metadata["tokenizer.chat_template"],
    )


def _load_all(model: LlamaForCausalLM, weights: dict[str, torch.Tensor]) -> None:
    # A tied output layer is the embedding once more, so the file does not hold it.
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    outcome = model.load_state_dict(weights, strict=False, assign=True)
    if set(outcome.missing_keys) != tied or outcome.unexpected_keys:
        raise ValueError(f"the weights do not fit: {outcome}")
    model.tie_weights()


def _require_known(metadata: dict[str, Any]) -> None:
    family = (metadata.get("general.architecture"), metadata.get("tokenizer.ggml.model"))
    if family != ("llama", "gpt2"):
        raise ValueError(f"only Llama models with a byte-level BPE tokenizer can be converted, not {family}")


def _transformers_name(name: str) -> str:
    *path, part, kind = name.split(".")
    if not path:
        return f"{_OUTER_NAMES[part]}.{kind}"
    return f"model.layers.{path[1]}.{_BLOCK_NAMES[part]}.{kind}"


def _interleaved_to_halves(weights: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    # GGUF stores the rotary pairs of a head side by side; transformers expects the two halves one after the other.
    pairs = weights.reshape(heads, weights.shape[0] // heads // 2, 2, *weights.shape[1:])
    return pairs.swapaxes(1, 2).reshape(weights.shape)
