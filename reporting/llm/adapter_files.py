"""Between the folder of an adapter, as writers use it, and the checkpoint that a federation exchanges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load

from fedpsma.errors import InputError
from fedpsma.io.files import finished_folder, read_json, require_file, require_own_folder, write_json
from fedpsma.model.checkpoint import Checkpoint, ModelCard, Weights, load_checkpoint, save_checkpoint
from fedpsma.model.config import AdapterConfig, require_adapter
from reporting.llm.adapter import base_sha256, load_adapter, local_base
from reporting.llm.card import CARD, base_entry, file_sha256
from reporting.llm.loading import ADAPTER_WEIGHTS
from reporting.llm.lora import ADAPTER_CONFIG, write_adapter

_ABOUT = "LoRA adapter that words PSMA-PET findings; research software, no clinician has reviewed its wording"


def pack(adapter: Path, out: Path) -> Checkpoint:
    """Write the adapter of a folder as a checkpoint that a federation can start from.

    Raises:
        InputError: The folder holds no adapter, or the language model that it was made for is not on this machine.
    """
    settings = _read_settings(adapter)
    name = str(read_json(adapter / CARD)["base"]["name"]) if (adapter / CARD).is_file() else adapter.name
    config = AdapterConfig(
        base=name,
        base_sha256=base_sha256(local_base(name)),
        rank=settings["r"],
        alpha=settings["lora_alpha"],
        targets=tuple(sorted(settings["target_modules"])),
    )
    weights = _read_weights(adapter / ADAPTER_WEIGHTS)
    # Tried at once, so that no federation starts from an adapter that fits nothing.
    load_adapter(config, weights)
    return write_start(out, config, weights, name=f"adapter {adapter.name}", data=f"the adapter in {adapter.name}")


def write_start(out: Path, config: AdapterConfig, weights: Weights, *, name: str, data: str) -> Checkpoint:
    """Write an adapter as a checkpoint, with a card that says where it is from."""
    card = ModelCard(name=name, data=data, recipe={}, metrics={})
    save_checkpoint(out, config, weights, card)
    return load_checkpoint(out)


def unpack(checkpoint: Path, out: Path) -> Path:
    """Write the adapter of a checkpoint as a folder that ``fedpsma report draft --writer`` takes.

    Raises:
        InputError: The checkpoint is none, or of something else, or the folder holds other things.
    """
    found = load_checkpoint(checkpoint)
    config = require_adapter(found.card.network, where=str(checkpoint))
    require_own_folder(out, CARD, (ADAPTER_CONFIG, ADAPTER_WEIGHTS))
    settings = {"r": config.rank, "lora_alpha": config.alpha, "target_modules": list(config.targets)}
    with finished_folder(out) as draft:
        write_adapter(draft, {name: torch.from_numpy(array) for name, array in found.weights.items()}, settings)
        write_json(draft / CARD, _card(found, config, draft / ADAPTER_WEIGHTS))
    return out


def _card(found: Checkpoint, config: AdapterConfig, weights: Path) -> dict[str, Any]:
    card = found.card
    return {
        "about": _ABOUT,
        "licence": card.licence,
        "base": base_entry(local_base(config.base)),
        "adapter_sha256": file_sha256(weights),
        "checkpoint": {"name": card.name, "sha256": card.sha256, "data": card.data},
        "epsilon": card.epsilon,
        "delta": card.delta,
        "recipe": card.recipe,
    }


def _read_settings(adapter: Path) -> dict[str, Any]:
    path = adapter / ADAPTER_CONFIG
    require_file(path)
    settings: dict[str, Any] = read_json(path)
    missing = {"r", "lora_alpha", "target_modules"} - settings.keys()
    if missing or settings.get("bias", "none") != "none":
        what = f"lacks {min(missing)}" if missing else "trains biases as well"
        raise InputError(what, where=str(path), remedy="give an adapter made by: fedpsma report train")
    return settings


def _read_weights(path: Path) -> Weights:
    require_file(path)
    try:
        return {name: array.astype(np.float32) for name, array in load(path.read_bytes()).items()}
    except SafetensorError as error:
        raise InputError("is not a safetensors file", where=str(path), remedy="get the adapter again") from error
