"""The trainer of a site: :mod:`fedpsma.training` behind the seam of :class:`fedpsma.training.trainer.Trainer`.

What trains is loaded when it is asked to: that takes seconds, and who opens a data set does not need it.
"""

from __future__ import annotations

from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import Weights
from fedpsma.model.config import NetworkConfig
from fedpsma.training.accounting import accountant, cost
from fedpsma.training.accounting import epsilon_of as epsilon
from fedpsma.training.lesion_subject import LesionSubject
from fedpsma.training.trainer import SpentOtherwiseError, TrainingTask

__all__ = ["accountant", "cost", "epsilon", "subject", "train"]


def subject() -> LesionSubject:
    """Return what is trained: a lesion network, on data sets of studies."""
    return LesionSubject()


def train(task: TrainingTask[Dataset]) -> Weights:
    """Train one round.

    Raises:
        InputError: The weights are of another network, or a study cannot be read.
        SpentOtherwiseError: The training did not keep to the charge.
    """
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
