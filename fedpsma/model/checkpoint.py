"""Weights as plain arrays, on disk as safetensors with a readable model card beside them."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fedpsma.errors import InputError, first_problem
from fedpsma.io.files import read_json, require_file, write_bytes, write_json
from fedpsma.model.config import ModelConfig, NetworkConfig, require_network

if TYPE_CHECKING:
    from fedpsma.model.network import LesionNet

Weights = dict[str, NDArray[np.float32]]


class ModelCard(BaseModel):
    """What a reader has to know of a checkpoint.

    ``data`` names what it was trained on, ``recipe`` how, ``metrics`` what it reached on which data. ``epsilon`` and
    ``delta`` are the privacy loss towards the patients of the training data, ``None`` where there was no such
    protection. ``sha256`` is :func:`model_hash` of the weights, and ``network`` what they are the weights of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    data: str
    recipe: dict[str, Any]
    metrics: dict[str, Any]
    epsilon: float | None = None
    delta: float | None = None
    licence: str = "Apache-2.0"
    intended_use: str = "Research only: not a medical device, and no clinician has reviewed its output."
    sha256: str = ""
    network: ModelConfig = NetworkConfig()


class Checkpoint(BaseModel):
    """A checkpoint in memory: of a lesion network, or of an adapter."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    weights: dict[str, Any]
    card: ModelCard

    @property
    def network(self) -> NetworkConfig:
        """The configuration of the lesion network.

        Raises:
            InputError: The weights are others.
        """
        return require_network(self.card.network, where=f"the checkpoint {self.card.name}")


def card_path(path: Path) -> Path:
    """Return where the model card of a checkpoint lies.

    Example:
        >>> card_path(Path("base.safetensors")).name
        'base.card.json'
    """
    return path.with_name(f"{path.stem}.card.json")


def base_path() -> Path:
    """Return where the base checkpoint lies that comes with the package."""
    return Path(str(resources.files(__package__).joinpath("data/base.safetensors")))


def judge_path(path: Path | None = None) -> Path:
    """Return where the judge of a checkpoint lies; ``None`` stands for the base checkpoint.

    Example:
        >>> judge_path(Path("site.safetensors")).name
        'site.judge.json'
    """
    path = path or base_path()
    return path.with_name(f"{path.stem}.judge.json")


def save_checkpoint(path: Path, config: ModelConfig, weights: Weights, card: ModelCard) -> None:
    """Write weights and card; the card gets the configuration of the model and the hash of the weights."""
    full = card.model_copy(update={"network": config, "sha256": model_hash(weights)})
    write_bytes(path, save({name: np.ascontiguousarray(weights[name]) for name in sorted(weights)}))
    write_json(card_path(path), full.model_dump(mode="json"))


def load_checkpoint(path: Path | None = None) -> Checkpoint:
    """Read a checkpoint; ``None`` stands for the base checkpoint that comes with the package.

    Raises:
        InputError: A file is missing or broken, or the weights are not those the card speaks of.
    """
    if path is None:
        path = base_path()
    require_file(path)
    if path.suffix != ".safetensors":
        raise InputError("is not a checkpoint (.safetensors)", where=str(path), remedy="name the checkpoint")
    if not card_path(path).is_file():
        problem = f"has no model card {card_path(path).name} beside it"
        raise InputError(problem, where=str(path), remedy="keep the two files of a checkpoint together")
    card = _read_card(card_path(path))
    try:
        weights: Weights = load(path.read_bytes())
    except SafetensorError as error:
        raise InputError("is not a safetensors file", where=str(path), remedy="get the checkpoint again") from error
    if model_hash(weights) != card.sha256:
        raise InputError(
            "holds other weights than its model card says",
            where=str(path),
            remedy="keep the two files of a checkpoint together",
        )
    return Checkpoint(weights=weights, card=card)


def load_network(path: Path | None = None) -> LesionNet:
    """Build the network of a checkpoint with its weights, ready for inference."""
    from fedpsma.model.network import LesionNet

    checkpoint = load_checkpoint(path)
    net = LesionNet(checkpoint.network)
    apply_weights(net, checkpoint.weights, where=str(path or "the base checkpoint"))
    return net.eval()


def weights_of(net: LesionNet) -> Weights:
    """Return a copy of all weights by parameter name."""
    return {name: value.detach().cpu().numpy().astype(np.float32, copy=True) for name, value in _tensors(net)}


def apply_weights(net: LesionNet, weights: Weights, *, where: str = "the weights") -> None:
    """Put weights into a network.

    Raises:
        InputError: A name is missing or unknown, or an array has another shape or holds infinity or NaN.
    """
    import torch

    check_weights(weights, {name: tuple(value.shape) for name, value in _tensors(net)}, where=where)
    with torch.no_grad():
        for name, value in _tensors(net):
            value.copy_(torch.from_numpy(np.array(weights[name], dtype=np.float32)))


def check_weights(weights: Weights, shapes: dict[str, tuple[int, ...]], *, where: str) -> None:
    """Raise :class:`InputError` unless ``weights`` are finite arrays of exactly these names and shapes."""
    remedy = "use a checkpoint of this network"
    for name in sorted(shapes.keys() ^ weights.keys()):
        problem = "lacks the parameter" if name in shapes else "has an unknown parameter"
        raise InputError(f"{problem} {name!r}", where=where, remedy=remedy)
    for name, shape in shapes.items():
        if tuple(weights[name].shape) != shape:
            raise InputError(
                f"{name!r} has shape {tuple(weights[name].shape)}, not {shape}", where=where, remedy=remedy
            )
        if not np.isfinite(weights[name]).all():
            raise InputError(f"{name!r} holds values that are not finite", where=where, remedy=remedy)


def model_hash(weights: Weights) -> str:
    """Return the SHA-256 (hex) of names, shapes and float32 values, in the order of the names.

    Example:
        >>> model_hash({"a": np.zeros(2, np.float32)})[:8]
        'a8086465'
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = np.ascontiguousarray(weights[name], dtype="<f4")
        digest.update(f"{name}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _tensors(net: LesionNet) -> list[tuple[str, Any]]:
    return list(net.named_parameters())


def _read_card(path: Path) -> ModelCard:
    try:
        return ModelCard.model_validate(read_json(path))
    except ValidationError as error:
        field, what = first_problem(error)
        raise InputError(f"{field}: {what}", where=str(path), remedy="get the checkpoint again") from error
