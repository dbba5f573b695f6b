"""Loading the base model from a folder, never from a hub."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from fedpsma.io.files import require_file

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def silence_transformers() -> None:
    """Keep transformers' own progress bars and warnings off the screen; the commands show theirs."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")


def load_base(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a transformers folder in float32 with its tokenizer.

    Raises:
        InputError: There is no model in the folder.
    """
    require_file(folder / "config.json")
    silence_transformers()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)
