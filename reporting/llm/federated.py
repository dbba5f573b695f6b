"""The trainer of a site for adapters: patients' sentences in, LoRA matrices out, behind the seam of the federation.

A site names it in its policy (``trainer = "reporting.llm.federated"``). What trains is loaded when it is asked to, as
in :mod:`client.training`.
"""

from __future__ import annotations

from fedpsma.model.checkpoint import Weights
from fedpsma.training.accounting import accountant, cost
from fedpsma.training.accounting import epsilon_of as epsilon
from fedpsma.training.trainer import TrainingTask
from reporting.llm.adapter_subject import AdapterSubject
from reporting.llm.pairs import SitePairs

__all__ = ["accountant", "cost", "epsilon", "subject", "train"]


def subject() -> AdapterSubject:
    """Return what is trained: an adapter, on pairs of codes and sentences."""
    return AdapterSubject()


def train(task: TrainingTask[SitePairs]) -> Weights:
    """Train one round (:func:`reporting.llm.adapter_round.train_round`)."""
    from reporting.llm.adapter_round import train_round

    return train_round(task)
