"""The trainer of a site: :mod:`fedpsma.training` behind the seam of :class:`fedpsma.training.trainer.Trainer`.

What trains and what counts are loaded when they are asked for: it takes seconds, and to open a data set needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedpsma.contract import TrainingPlan
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import Weights
from fedpsma.training.charge import Charge
from fedpsma.training.lesion_subject import LesionSubject
from fedpsma.training.subject import PatientData
from fedpsma.training.trainer import SpentOtherwiseError, TrainingTask

__all__ = ["accountant", "cost", "epsilon", "subject", "train"]


def subject() -> LesionSubject:
    """Return what is trained: a lesion network, on data sets of studies."""
    return LesionSubject()


def cost(dataset: PatientData, plan: TrainingPlan) -> Charge | None:
    """Return what one round of the plan will cost these patients (:func:`fedpsma.training.accounting.cost`)."""
    from fedpsma.training import accounting

    return accounting.cost(dataset, plan)


def epsilon(history: Sequence[Charge], delta: float) -> float:
    """Return the privacy loss of a history (:func:`fedpsma.training.accounting.epsilon_of`)."""
    from fedpsma.training.accounting import epsilon_of

    return epsilon_of(history, delta)


def accountant() -> str:
    """Return what the privacy loss is computed with, by name and version."""
    from fedpsma.training import accounting

    return accounting.accountant()


def train(task: TrainingTask[Dataset]) -> Weights:
    """Train one round.

    Raises:
        InputError: The weights are of another network, or a study cannot be read.
        SpentOtherwiseError: The training did not keep to the charge.
    """
    from fedpsma.model.config import NetworkConfig
    from fedpsma.training.local_rules import with_bound
    from fedpsma.training.site_round import train_round

    result = train_round(
        task.weights,
        task.dataset,
        task.plan,
        task.round,
        task.site,
        history=task.history,
        network=NetworkConfig.model_validate(task.network),
        correction=task.correction,
    )
    if result.spend != task.charge:
        raise SpentOtherwiseError
    return with_bound(result.weights, task.plan, result.clip_norm)
