"""What may be told of how many patients: nothing of fewer than five, and never an exact number of them.

Rounding alone does not stop two answers from being subtracted from each other, one patient apart. So a site answers the
same as before until at least as many patients have changed as a count may show (:mod:`client.answers.releases`).
"""

from __future__ import annotations

LEAST_PATIENTS = 5
"""Counts below are withheld, and so are sums over fewer patients."""

ROUND_TO = 5


def told(patients: float) -> int | None:
    """Return a number of patients as it may be told: rounded to fives, ``None`` for fewer than five, none included.

    Example:
        >>> told(4), told(6), told(13)
        (None, 5, 15)
    """
    return None if patients < LEAST_PATIENTS else ROUND_TO * int(patients / ROUND_TO + 0.5)
