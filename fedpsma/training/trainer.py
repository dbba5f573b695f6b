"""What a site needs from the code that trains: five functions, usually those of :mod:`client.training`."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Generic, Protocol, cast

from fedpsma.contract import TrainingPlan
from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Weights
from fedpsma.training.charge import Charge
from fedpsma.training.subject import Data, PatientData, Subject

DEFAULT_TRAINER = "client.training"


class SpentOtherwiseError(Exception):
    """The training spent something else than the ledger was charged, so nothing of it may leave."""


@dataclass(frozen=True)
class TrainingTask(Generic[Data]):
    """One round at one site.

    ``weights`` are those to start from and ``network`` the configuration of their model. ``charge`` is what the
    ledger was charged for this round and ``history`` what it was charged before, as far as there was privacy.
    ``correction`` is added to the gradient of every step where the plan asks for control variates.
    """

    weights: Weights
    dataset: Data
    plan: TrainingPlan
    round: int
    site: str
    network: Mapping[str, Any]
    charge: Charge | None
    history: tuple[Charge, ...]
    correction: Weights | None = None


class Trainer(Protocol):
    """The seam between federation and training; a module with these functions is a trainer."""

    def subject(self) -> Subject[Any]:
        """Return what is trained, and on which patients: it opens the data of a site."""

    def cost(self, dataset: PatientData, plan: TrainingPlan) -> Charge | None:
        """Return what one round of the plan will cost these patients; ``None`` trains without differential privacy."""

    def epsilon(self, history: Sequence[Charge], delta: float) -> float:
        """Return the privacy loss of everything in the history together."""

    def accountant(self) -> str:
        """Return what :meth:`epsilon` computes with, by name and version."""

    def train(self, task: TrainingTask[Any]) -> Weights:
        """Train one round with exactly the noise of the task's charge and return the new weights.

        Beside them the bound of adaptive clipping may lie (:func:`fedpsma.training.local_rules.with_bound`); it stays.
        """


def require_trainer(reference: str) -> None:
    """Look for a trainer by its dotted name without loading it.

    Raises:
        InputError: There is no such module.
    """
    try:
        found = find_spec(reference.partition(":")[0])
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise _no_trainer(reference)


def load_trainer(reference: str) -> Trainer:
    """Return the trainer module by its dotted name.

    Raises:
        InputError: There is no such module, or it trains nothing.
    """
    require_trainer(reference)
    found = pkgutil.resolve_name(reference)
    if not hasattr(found, "subject"):
        raise _no_trainer(reference)
    return cast(Trainer, found)


def _no_trainer(reference: str) -> InputError:
    return InputError("is no trainer", where=reference, remedy="see docs/for-sites.md for those there are")
