"""A clock that is wrong, for a Python process and all that it starts."""

from __future__ import annotations

import os
from pathlib import Path

HELPERS = Path(__file__).resolve().parent


def wrong_clock(seconds: int) -> dict[str, str]:
    """Return the variables that set the clock of a process wrong by so many seconds."""
    path = (HELPERS / "wrong_clock_site", HELPERS.parents[1], HELPERS)
    return {"FEDPSMA_WRONG_CLOCK_S": str(seconds), "PYTHONPATH": os.pathsep.join(map(str, path))}
