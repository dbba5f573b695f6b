"""The trainer of a site: :mod:`fedpsma.training` behind the seam of :class:`client.trainer.Trainer`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from client.trainer import TrainingTask, Weights
from fedpsma.contract import TrainingPlan
from fedpsma.io.dataset import Dataset
from fedpsma.model.config import NetworkConfig
from fedpsma.training.accounting import epsilon_of, spend_of_round
from fedpsma.training.charge import Charge
from fedpsma.training.site_round import train_round


class SpentOtherwiseError(Exception):
    """The training spent something else than the ledger was charged, so nothing of it may leave."""


def cost(dataset: Dataset, plan: TrainingPlan) -> Charge | None:
    """Return what one round will cost the patients of the data set; ``None`` trains without privacy.

    Raises:
        InputError: No noise keeps the plan's promise for so few patients.
    """
    return spend_of_round(plan, len(dataset.patients))


def epsilon(history: Sequence[Charge], delta: float) -> float:
    """Return the privacy loss of a history, the larger of the RDP and the PRV accountant."""
    return epsilon_of(history, delta)


def accountant() -> str:
    """Return what :func:`epsilon` computes with."""
    return f"larger of RDP and PRV, opacus {version('opacus')}"


def train(task: TrainingTask) -> Weights:
    """Train one round.

    Raises:
        InputError: The weights are of another network, or a study cannot be read.
        SpentOtherwiseError: The training did not keep to the charge.
    """
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
    return result.weights
