"""A trainer of a few numbers with the manners of the real one; the data set can hold a fault for it to play."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from client.adversary import Adversary
from fedpsma.contract import TrainingPlan
from fedpsma.io.dataset import Dataset, DatasetInfo, StudyRow, read_dataset, write_dataset
from fedpsma.model.checkpoint import ModelCard, Weights, save_checkpoint
from fedpsma.model.config import NetworkConfig
from fedpsma.training.charge import Charge
from fedpsma.training.interruption import raise_if_stopped
from fedpsma.training.lesion_subject import LesionSubject
from fedpsma.training.trainer import TrainingTask
from server.simulation import Engine, SimulationConfig

SECRET = "/data/DOE^JOHN_19470211/pet.nii.gz"
nan, scaled, sign_flip = (Adversary(factor, "tiny_trainer") for factor in (float("nan"), 10.0, -4.0))


def subject() -> LesionSubject:
    return LesionSubject()


def cost(dataset: Dataset, plan: TrainingPlan) -> Charge | None:
    if plan.target_epsilon is None:
        return None
    rate = min(1.0, plan.patients_per_step / len(dataset.patients))
    return Charge(sample_rate=rate, noise_multiplier=2.0, steps=plan.steps_per_round)


def epsilon(history: Sequence[Charge], delta: float) -> float:
    return sum(charge.steps * charge.sample_rate / charge.noise_multiplier for charge in history)


def accountant() -> str:
    return "tiny"


def train(task: TrainingTask) -> Weights:
    seed = [task.plan.seed or 0, task.round, zlib.crc32(task.site.encode())]
    rng = np.random.default_rng(seed)
    update = dict(task.weights)
    for name in ("layer", "bias"):
        noise = rng.normal(0, 0.1, update[name].shape).astype(np.float32)
        update[name] = update[name] * np.float32(0.9) + noise
        if task.correction is not None:
            update[name] = update[name] - np.float32(0.1) * task.correction[name]
    return _faulty(task, update)


def _faulty(task: TrainingTask, update: Weights) -> Weights:
    note = task.dataset.folder / "fault.txt"
    fault = note.read_text("utf-8").strip() if note.exists() else ""
    if fault == "extra_array":
        return {**update, "extra": np.zeros(3, np.float32)}
    if fault == "missing_array":
        return {"layer": update["layer"], "frozen": update["frozen"]}
    if fault == "wrong_shape":
        return {**update, "layer": update["layer"].T}
    if fault == "wrong_dtype":
        return {**update, "layer": update["layer"].astype(np.float64)}
    if fault == "not_finite":
        return {**update, "layer": np.full_like(update["layer"], np.nan)}
    if fault == "raises":
        raise RuntimeError(f"cannot read {SECRET}")
    if fault == "killed" and task.round == 2:
        note.unlink()
        os.kill(os.getpid(), 9)
    if fault in ("slow", "endless"):
        _linger(note, fault)
    return update


def _linger(note: Path, fault: str) -> None:
    """Take half a second, or as long as the fault stands in its file and nobody stops the training."""
    deadline = time.monotonic() + (0.5 if fault == "slow" else 600.0)
    while note.exists() and time.monotonic() < deadline:
        raise_if_stopped()
        time.sleep(0.1)


def make_sites(folder: Path, names: Sequence[str] = ("C", "A", "B"), patients: int = 12) -> tuple[Path, ...]:
    """Write data sets without volumes; this trainer looks at none."""
    paths = []
    for name in names:
        path = folder / f"data_{name}"
        path.mkdir(parents=True)
        rows = [
            StudyRow(id=f"{name}{n}", patient=f"{name}-p{n}", pet=f"{n}.nii.gz", spacing=(4.0, 4.0, 4.0))
            for n in range(patients)
        ]
        write_dataset(path, DatasetInfo(name=name, site=name, contour="manual", synthetic=True), rows)
        paths.append(path)
    return tuple(paths)


def make_checkpoint(path: Path) -> Path:
    """Write a checkpoint of a network that only this trainer knows."""
    rng = np.random.default_rng(5)
    weights = {
        "layer": rng.normal(size=(3, 4)).astype(np.float32),
        "bias": rng.normal(size=(4,)).astype(np.float32),
        "frozen": rng.normal(size=(50,)).astype(np.float32),
    }
    card = ModelCard(name="tiny", data="none", recipe={}, metrics={})
    save_checkpoint(path, NetworkConfig(), weights, card)
    return path


def tiny_config(folder: Path, engine: Engine = "inprocess", **plan: object) -> SimulationConfig:
    """Return a simulation of three sites with this trainer, everything inside one folder."""
    return SimulationConfig(
        datasets=make_sites(folder),
        out=folder / "run",
        plan=TrainingPlan.model_validate({"seed": 3, "rounds": 2, **plan}),
        engine=engine,
        init=make_checkpoint(folder / "initial.safetensors"),
        trainer="tiny_trainer",
    )


def task_of(weights: Weights, config: SimulationConfig, site: str) -> TrainingTask:
    """Return what the site of this name is given to do in the first round."""
    (path,) = (one for one in config.datasets if one.name == f"data_{site}")
    return TrainingTask(weights, read_dataset(path), config.plan, 1, site, {}, None, ())
