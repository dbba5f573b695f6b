"""How likely a language model finds sentences: a weak sign of fluency, and none of being right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from reporting.llm.loading import load_base


def perplexity(base: Path, texts: Sequence[str]) -> float:
    """Return the perplexity of a model over sentence templates, token by token over all of them.

    Args:
        base: The transformers folder of the model.
        texts: The sentences; each is read by itself.
    """
    model, tokenizer = load_base(base)
    total, tokens = 0.0, 0
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer(f"{tokenizer.eos_token}{text}", return_tensors="pt").input_ids.to(model.device)
            scores = model(ids).logits[0, :-1].float()
            total += torch.nn.functional.cross_entropy(scores, ids[0, 1:], reduction="sum").item()
            tokens += ids.shape[1] - 1
    return math.exp(total / tokens)
