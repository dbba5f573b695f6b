"""How far the clocks of a site and of its coordinator may be apart, and how the difference is said."""

from __future__ import annotations

from datetime import timedelta

# Farther apart, and the one side refuses what the other signed, because it could be an old message.
LARGEST_SKEW = timedelta(minutes=5)
# Less than this is the time that a question takes, and harms nobody.
SAID_FROM = timedelta(seconds=30)
_UNITS = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def is_apart(ahead_s: float) -> bool:
    """Return whether two clocks differ by so much that somebody should set one."""
    return abs(ahead_s) >= SAID_FROM.total_seconds()


def skew_in_words(ahead_s: float) -> str:
    """Return a difference of clocks in one unit.

    Example:
        >>> skew_in_words(-424.0), skew_in_words(7500.0), skew_in_words(31.4)
        ('7 min behind', '2 h ahead', '31 s ahead')
    """
    size, unit = next((one for one in _UNITS if abs(ahead_s) >= 2 * one[0]), _UNITS[-1])
    return f"{abs(ahead_s) / size:.0f} {unit} {'ahead' if ahead_s > 0 else 'behind'}"
