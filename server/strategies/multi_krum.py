"""Multi-Krum (Blanchard et al. 2017, arXiv 1703.02757, section 5)."""

from __future__ import annotations

from typing import Literal

from server.strategies.krum import KrumRule


class MultiKrum(KrumRule):
    """The mean of all updates but the ``malicious`` ones that lie farthest from their neighbours.

    Under differential privacy it keeps more of the averaging that makes the noise small than Krum does.
    """

    name: Literal["multi_krum"] = "multi_krum"

    def selected(self, updates: int) -> int:
        """Return how many updates are averaged."""
        return updates - self.malicious
