"""Trainers that do harm, to try a federation against them; only a site's own policy can name one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedpsma.contract import TrainingPlan
from fedpsma.model.checkpoint import Weights
from fedpsma.training.charge import Charge
from fedpsma.training.subject import PatientData, Subject
from fedpsma.training.trainer import DEFAULT_TRAINER, TrainingTask, load_trainer


@dataclass(frozen=True)
class Adversary:
    """Trains and pays like the honest trainer and then sends ``factor`` times its update."""

    factor: float
    trainer: str = DEFAULT_TRAINER

    def subject(self) -> Subject[Any]:
        """Return what the honest trainer trains."""
        return load_trainer(self.trainer).subject()

    def cost(self, dataset: PatientData, plan: TrainingPlan) -> Charge | None:
        """Return what the honest trainer costs."""
        return load_trainer(self.trainer).cost(dataset, plan)

    def epsilon(self, history: Sequence[Charge], delta: float) -> float:
        """Return what the honest trainer says."""
        return load_trainer(self.trainer).epsilon(history, delta)

    def accountant(self) -> str:
        """Return what the honest trainer computes with."""
        return load_trainer(self.trainer).accountant()

    def train(self, task: TrainingTask[Any]) -> Weights:
        """Train honestly and spoil the result."""
        trained = load_trainer(self.trainer).train(task)
        return {name: (start + self.factor * (trained[name] - start)) for name, start in task.weights.items()}


nan = Adversary(float("nan"))
scaled = Adversary(10.0)
sign_flip = Adversary(-4.0)
