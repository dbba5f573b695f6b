"""The models of an audit: each trained as a site trains, on patients chosen by the toss of a coin.

What was trained once is kept with what it depends on, so that an audit that was stopped goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from fedpsma.audit.attacks import Bools, Outcomes
from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset
from fedpsma.io.files import read_text, write_text
from fedpsma.model.checkpoint import Checkpoint, Weights, apply_weights
from fedpsma.model.losses import dense_loss
from fedpsma.model.network import LesionNet
from fedpsma.training.patches import Augmentation, cut_patches, draw_patches
from fedpsma.training.site_round import train_round
from fedpsma.training.sources import SourceCache

SITE = "audit"
_PATCHES_LOOKED_AT = 4
# To be raised whenever the same training or the same look at it would come out otherwise.
_VERSION = 2

OnModel = Callable[[int, int], None]


@dataclass(frozen=True)
class Laboratory:
    """What all models of one kind share.

    ``rate`` is the chance of each member to take part in a step, the same for every model, so that all of them cost the
    same. ``kept`` is the folder of the outcomes.
    """

    dataset: Dataset
    plan: TrainingPlan
    rate: float
    start: Checkpoint
    kept: Path
    seed: int
    cache: SourceCache


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    losses: tuple[float, ...]


def membership(seed: int, number: int, patients: int) -> Bools:
    """Return who is in the training data of a model: each patient by the toss of a coin."""
    return np.random.default_rng([seed, number]).random(patients) < 0.5


def outcomes(laboratory: Laboratory, numbers: Sequence[int], on_model: Callable[[], None]) -> Outcomes:
    """Train the models of these numbers and return what each says of every patient.

    Raises:
        InputError: A study cannot be read, or the plan cannot be kept with so few patients.
    """
    patients = len(laboratory.dataset.patients)
    members = np.array([membership(laboratory.seed, number, patients) for number in numbers])
    losses = []
    for number, row in zip(numbers, members, strict=True):
        losses.append(_outcome(laboratory, number, row))
        on_model()
    return Outcomes(np.array(losses), members)


def start_losses(laboratory: Laboratory) -> list[float]:
    """Return the loss of each patient before any training."""
    return patient_losses(laboratory, laboratory.start.weights)


def patient_losses(laboratory: Laboratory, weights: Weights) -> list[float]:
    """Return the mean loss of each patient on the same few patches for every model, not augmented."""
    net = LesionNet(laboratory.start.network)
    apply_weights(net, weights)
    net.eval()
    dataset = laboratory.dataset
    return [_loss(net, laboratory, name, at) for at, name in enumerate(dataset.patients)]


def _loss(net: LesionNet, laboratory: Laboratory, patient: str, at: int) -> float:
    plan = laboratory.plan
    sources = laboratory.cache.of_patient(laboratory.dataset, patient, net.config)
    generator = torch.Generator().manual_seed(at)
    drawn = draw_patches(sources, _PATCHES_LOOKED_AT, plan.patch_voxels, generator)
    draws = [replace(one, augmentation=Augmentation()) for one in drawn]
    with torch.inference_mode():
        batch = cut_patches(draws, plan.patch_voxels)
        return float(dense_loss(net(batch.image, batch.tracer), batch.targets))


def _outcome(laboratory: Laboratory, number: int, members: Bools) -> list[float]:
    key = _key(laboratory, number, members)
    path = laboratory.kept / f"{number:04d}.json"
    known = _kept(path, key)
    if known is None:
        known = patient_losses(laboratory, _trained(laboratory, number, members))
        write_text(path, _Kept(key=key, losses=tuple(known)).model_dump_json())
    return known


def _trained(laboratory: Laboratory, number: int, members: Bools) -> Weights:
    dataset = laboratory.dataset
    chosen = {name for name, member in zip(dataset.patients, members, strict=True) if member}
    part = Dataset(dataset.folder, dataset.info, tuple(row for row in dataset.rows if row.patient in chosen))
    # Nothing of an audit is released, so that its random numbers may be known.
    wanted = {"seed": laboratory.seed + number, "patients_per_step": laboratory.rate * len(chosen)}
    plan = laboratory.plan.model_copy(update=wanted)
    weights: Weights = laboratory.start.weights
    for round_number in range(1, plan.rounds + 1):
        weights = train_round(weights, part, plan, round_number, SITE, network=laboratory.start.network).weights
    return weights


def _key(laboratory: Laboratory, number: int, members: Bools) -> str:
    rows = [row.model_dump_json() for row in laboratory.dataset.rows]
    told = (
        _VERSION,
        laboratory.plan.model_dump_json(),
        laboratory.rate,
        laboratory.start.card.sha256,
        laboratory.seed,
        number,
        rows,
    )
    return hashlib.sha256(repr((told, members.tolist())).encode()).hexdigest()


def _kept(path: Path, key: str) -> list[float] | None:
    try:
        kept = _Kept.model_validate_json(read_text(path))
    except (InputError, ValidationError):
        return None
    return list(kept.losses) if kept.key == key else None
