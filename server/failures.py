"""How a run ends without a model, and the code that its history gives for that."""

from __future__ import annotations

import errno

import numpy as np

from fedpsma.errors import InputError
from fedpsma.model.checkpoint import Weights
from server.flower import EngineStoppedError

TOO_FEW_SITES = "too_few_sites"


class FederationError(Exception):
    """A round had too few valid updates, so there is no model to go on with."""


class NotFiniteError(InputError):
    """The step of a round makes weights that are no numbers any more, so there is no model to go on with."""


def require_finite(weights: Weights, number: int, strategy: str) -> None:
    """Raise NotFiniteError where the weights after the round of this number are not all finite."""
    bad = min((name for name, array in weights.items() if not np.isfinite(array).all()), default=None)
    if bad is not None:
        raise NotFiniteError(
            f"the step of {strategy} makes weights that are no finite numbers, the first of them in {bad}",
            where=f"round {number}",
            remedy="start another run, with a smaller strategy.learning_rate",
        )


def failure_code(error: BaseException) -> str:
    """Return the code for what ended a run; :mod:`fedpsma.history.reasons` has their plain words."""
    if isinstance(error, FederationError):
        return TOO_FEW_SITES
    if isinstance(error, NotFiniteError):
        return "not_finite"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk_full"
    return "stopped" if isinstance(error, KeyboardInterrupt | EngineStoppedError) else "internal_error"
