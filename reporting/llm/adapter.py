"""An adapter as a checkpoint: the arrays that a federation exchanges, and the model at hand that they belong to.

Only the LoRA matrices are ever written or sent; the language model under them lies in the store of each site.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedTokenizerBase

from fedpsma.contract import TrainingScope
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Weights, check_weights
from fedpsma.model.config import AdapterConfig
from reporting.llm.loading import load_base
from reporting.llm.store import cache_folder, embedded_model, require_model, require_packages

_OWN_NAME = ".default"
_SECOND = "lora_B"


@dataclass(frozen=True)
class LoadedAdapter:
    """A language model with LoRA matrices, and its tokenizer."""

    model: PeftModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def matrices(self) -> dict[str, nn.Parameter]:
        """The LoRA matrices by the names that they have in files and messages."""
        named = self.model.named_parameters()
        return {name.replace(_OWN_NAME, ""): value for name, value in named if "lora_" in name}

    @property
    def weights(self) -> Weights:
        """A copy of the LoRA matrices."""
        return {
            name: value.detach().cpu().numpy().astype(np.float32, copy=True) for name, value in self.matrices.items()
        }

    def apply(self, weights: Weights) -> None:
        """Put weights into the matrices.

        Raises:
            InputError: A name is missing or unknown, or an array has another shape or holds infinity or NaN.
        """
        matrices = self.matrices
        shapes = {name: tuple(value.shape) for name, value in matrices.items()}
        check_weights(weights, shapes, where="the adapter's weights")
        with torch.no_grad():
            for name, value in matrices.items():
                value.copy_(torch.from_numpy(np.array(weights[name], dtype=np.float32)))

    def trained(self, scope: TrainingScope) -> dict[str, nn.Parameter]:
        """Return the matrices that a scope trains, and freeze all others.

        "adaptive" stands for the second matrix of each pair, with the first as it was sent: their mean over sites is
        then the mean of what the adapters do, and half as many numbers get noise (Sun et al. 2024, arXiv 2403.12313).
        """
        for name, value in self.matrices.items():
            value.requires_grad_(scope == "all" or _SECOND in name)
        return {name: value for name, value in self.matrices.items() if value.requires_grad}


def load_adapter(config: AdapterConfig, weights: Weights, device: torch.device | None = None) -> LoadedAdapter:
    """Return the language model of this machine with an adapter's weights, in float32.

    Raises:
        InputError: The language model is not on this machine or is another one, or the weights do not fit it.
    """
    loaded = _with_matrices(require_base(config), config, device or torch.device("cpu"))
    loaded.apply(weights)
    return loaded


def require_base(config: AdapterConfig) -> Path:
    """Return where the language model lies that an adapter was made for.

    Raises:
        InputError: It is not on this machine, or is another one, or the packages that run it are not installed.
    """
    require_packages()
    folder = local_base(config.base)
    found = base_sha256(folder)
    if found != config.base_sha256:
        raise InputError(
            f"is another model than the adapter's ({found[:12]}..., not {config.base_sha256[:12]}...)",
            where=str(folder),
            remedy="bring the model that the adapter was made for",
        )
    return folder


def local_base(name: str) -> Path:
    """Return where the language model of this name lies: the embedded one, else a folder of the cache.

    Raises:
        InputError: It is not there.
    """
    if name == embedded_model().name:
        return require_model()
    folder = cache_folder() / name
    if not (folder / "config.json").is_file():
        raise InputError("is not on this machine", where=f"language model {name}", remedy=f"put its folder at {folder}")
    return folder


def base_sha256(folder: Path) -> str:
    """Return the SHA-256 over the weights of a model in a transformers folder.

    Raises:
        InputError: The folder holds no weights in safetensors.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError("holds no weights in safetensors", where=str(folder), remedy="give a transformers folder")
    digest = hashlib.sha256()
    for path in files:
        state = path.stat()
        digest.update(_file_sha256(path, state.st_size, state.st_mtime_ns).encode())
    return digest.hexdigest()


def fresh_adapter(base: str, rank: int, targets: Sequence[str], seed: int) -> tuple[AdapterConfig, Weights]:
    """Return an adapter that changes nothing yet: the first matrices drawn, the second ones zero.

    Raises:
        InputError: The language model is not on this machine, or has no linear map of a name.
    """
    require_packages()
    folder = local_base(base)
    config = AdapterConfig(
        base=base, base_sha256=base_sha256(folder), rank=rank, alpha=2 * rank, targets=tuple(targets)
    )
    generator = torch.Generator().manual_seed(seed)
    loaded = _with_matrices(folder, config, torch.device("cpu"))
    weights = {}
    for name, value in loaded.matrices.items():
        # As peft and the paper begin; drawn here, so that the seed alone decides.
        bound = 1 / np.sqrt(value.shape[1])
        drawn = (2 * torch.rand(value.shape, generator=generator) - 1) * bound
        weights[name] = np.zeros(value.shape, np.float32) if _SECOND in name else drawn.numpy().astype(np.float32)
    return config, weights


@lru_cache(maxsize=4)
def _file_sha256(path: Path, size: int, changed: int) -> str:
    """Hash a file; one of the same size and date is the same."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=1)
def _with_matrices(folder: Path, config: AdapterConfig, device: torch.device) -> LoadedAdapter:
    """Load a model once in the life of the process; its matrices are overwritten by whoever uses it."""
    base, tokenizer = load_base(folder, device)
    lora = LoraConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules=list(config.targets), task_type="CAUSAL_LM"
    )
    try:
        model = get_peft_model(base, lora)
    except ValueError as error:
        remedy = "name linear maps of it, such as q_proj and v_proj"
        raise InputError("has no linear map of the names given", where=config.base, remedy=remedy) from error
    return LoadedAdapter(model.eval(), tokenizer)
