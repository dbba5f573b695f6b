"""Loading a language model from a folder, never from a hub."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from fedpsma.errors import InputError
from fedpsma.io.files import require_file

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def silence_transformers() -> None:
    """Keep transformers' own progress bars and warnings off the screen; the commands show theirs."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")


def load_base(folder: Path, device: torch.device | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a transformers folder with its tokenizer: in float32, or on a GPU, where there is one, in bfloat16.

    No code that lies in the folder is run.

    Args:
        folder: Where the model lies.
        device: Where the model is to be, always in float32 there.

    Raises:
        InputError: There is no causal language model with a chat template in the folder, or its files are damaged.
    """
    require_file(folder / "config.json")
    silence_transformers()
    on_gpu = device is None and torch.cuda.is_available()
    place, dtype = (torch.device("cuda"), torch.bfloat16) if on_gpu else (device or torch.device("cpu"), torch.float32)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"holds no language model that can be loaded ({reason})",
            where=str(folder),
            remedy="bring the model again; the embedded one with: fedpsma model fetch --again",
        ) from error
    if tokenizer.chat_template is None:
        raise InputError("has no chat template", where=str(folder), remedy="give an instruction-tuned model")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(place), tokenizer
