"""Shares with their 95 % intervals."""

from __future__ import annotations

import math

_Z = 1.959964


def wilson(hits: int, number: int) -> tuple[float, float]:
    """Return the Wilson score interval of a share.

    Example:
        >>> [round(value, 3) for value in wilson(98, 100)]
        [0.93, 0.994]
    """
    if not number:
        return 0.0, 1.0
    share = hits / number
    middle = share + _Z**2 / (2 * number)
    reach = _Z * math.sqrt(share * (1 - share) / number + _Z**2 / (4 * number**2))
    scale = 1 + _Z**2 / number
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def share(hits: int, number: int) -> str:
    """Return a share with its interval and its numbers."""
    low, high = wilson(hits, number)
    return f"{hits / number if number else 0:.3f} ({low:.3f} to {high:.3f}), {hits} of {number}"
