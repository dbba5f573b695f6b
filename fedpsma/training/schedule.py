"""How a learning rate goes over the rounds, at the sites or at the server."""

from __future__ import annotations

import math

from fedpsma.contract import Schedule


def share_of_rate(schedule: Schedule, round_number: int, rounds: int) -> float:
    """Return the share of the learning rate in a round, counted from 1.

    It stays constant, or goes down a cosine that would end after the last round (Loshchilov and Hutter 2017, arXiv
    1608.03983, without restarts).

    Example:
        >>> [round(share_of_rate("cosine", number, 4), 2) for number in (1, 2, 3, 4)]
        [1.0, 0.85, 0.5, 0.15]
    """
    return 1.0 if schedule == "constant" else 0.5 * (1 + math.cos(math.pi * (round_number - 1) / rounds))
