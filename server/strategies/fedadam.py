"""FedAdam (Reddi et al. 2021, arXiv 2003.00295)."""

from __future__ import annotations

from typing import ClassVar, Literal

from server.strategies.adaptive import AdaptiveRule


class FedAdam(AdaptiveRule):
    """Adam at the server."""

    FLOWER: ClassVar[str] = "FedAdam"

    name: Literal["fedadam"] = "fedadam"
