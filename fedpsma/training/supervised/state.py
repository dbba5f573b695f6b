"""One step of training, and everything that a stopped run needs to go on as if it had not been stopped."""

from __future__ import annotations

import copy
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fedpsma.errors import InputError
from fedpsma.io.files import write_bytes
from fedpsma.model.checkpoint import Checkpoint, apply_weights
from fedpsma.model.config import NetworkConfig
from fedpsma.model.losses import dense_loss
from fedpsma.model.network import LesionNet, build
from fedpsma.training.patches import PatchBatch
from fedpsma.training.supervised.device import Compute
from fedpsma.training.supervised.recipe import TrainRecipe

_NEVER = -1


@dataclass
class TrainState:
    """Where a run stands.

    ``average`` is the running mean of the weights, which is validated and kept. ``losses`` is the sum of the losses
    since the last line of the log, on the device. ``validated_at`` and ``best_step`` are -1 before the first
    validation.
    """

    net: LesionNet
    average: LesionNet
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    losses: Tensor
    step: int = 0
    seconds: float = 0.0
    validated_at: int = _NEVER
    best_step: int = _NEVER
    best: float = float("-inf")


def fresh_state(recipe: TrainRecipe, network: NetworkConfig, start: Checkpoint | None, compute: Compute) -> TrainState:
    """Return the state before the first step: the weights of ``start``, or such as the seed gives.

    Raises:
        InputError: The weights of ``start`` do not fit the network.
    """
    net = build(network, seed=recipe.seed)
    if start is not None:
        apply_weights(net, start.weights, where=f"the checkpoint {start.card.name!r}")
    # A quarter of the time of a step on a CPU, where this layout saves reordering every feature map.
    net.to(compute.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    losses = torch.zeros((), device=compute.device)
    return TrainState(net, copy.deepcopy(net), optimizer, compute.scaler(), losses)


def train_step(state: TrainState, batch: PatchBatch, recipe: TrainRecipe, compute: Compute) -> None:
    """Take one step; nothing is read back from the device, so that it need not wait."""
    for group in state.optimizer.param_groups:
        group["lr"] = recipe.rate(recipe.share(state.step, state.seconds))
    state.net.train()
    state.optimizer.zero_grad(set_to_none=True)
    with compute.autocast():
        logits = state.net(batch.image, batch.tracer)
    loss = dense_loss(type(logits)(*(one.float() for one in logits)), batch.targets)
    state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    state.scaler.unscale_(state.optimizer)
    nn.utils.clip_grad_norm_(state.net.parameters(), recipe.largest_gradient_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.losses += loss.detach()
    state.step += 1
    _average(state, recipe.average_decay)


def _average(state: TrainState, decay: float) -> None:
    """Follow the weights, faster in the beginning, so that the first ones are soon forgotten."""
    decay = min(decay, state.step / (state.step + 10))
    with torch.no_grad():
        for mean, value in zip(state.average.parameters(), state.net.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


def save_state(path: Path, state: TrainState) -> None:
    """Write the state, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(_packed(state), buffer)
    write_bytes(path, buffer.getvalue())


def restore_state(path: Path, state: TrainState) -> None:
    """Bring a fresh state to where a stopped run was.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        kept = torch.load(path, map_location=state.losses.device, weights_only=True)
    except Exception as error:
        raise InputError("is not the state of a run", where=str(path), remedy="name another --out") from error
    for name in ("net", "average", "optimizer", "scaler"):
        getattr(state, name).load_state_dict(kept[name])
    state.losses = kept["losses"]
    for name, value in kept["progress"].items():
        setattr(state, name, value)


def _packed(state: TrainState) -> dict[str, Any]:
    progress = ("step", "seconds", "validated_at", "best_step", "best")
    return {
        **{name: getattr(state, name).state_dict() for name in ("net", "average", "optimizer", "scaler")},
        "losses": state.losses,
        "progress": {name: getattr(state, name) for name in progress},
    }
