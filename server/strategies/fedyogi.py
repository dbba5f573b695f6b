"""FedYogi (Reddi et al. 2021, arXiv 2003.00295)."""

from __future__ import annotations

from typing import ClassVar, Literal

from server.strategies.adaptive import AdaptiveRule


class FedYogi(AdaptiveRule):
    """Yogi at the server: its second moment grows and shrinks slowly."""

    FLOWER: ClassVar[str] = "FedYogi"

    name: Literal["fedyogi"] = "fedyogi"
