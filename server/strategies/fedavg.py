"""Federated averaging (McMahan et al. 2017, arXiv 1602.05629)."""

from __future__ import annotations

from typing import Literal

from server.strategies.rule import MeanRule


class FedAvg(MeanRule):
    """The weighted mean of all updates."""

    name: Literal["fedavg"] = "fedavg"
