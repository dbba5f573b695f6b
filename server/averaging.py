"""The mean of the weights over the rounds, which forgets old rounds step by step (Polyak and Juditsky 1992).

Rounds of few patients, and still more those with noise, throw the weights about; their mean lies closer to where they
go. It is made of weights that the server has anyway, so it costs no further privacy. The rounds themselves go on from
the last weights.
"""

from __future__ import annotations

from fedpsma.model.checkpoint import Weights


def averaged(mean: Weights, weights: Weights, round_number: int, decay: float) -> Weights:
    """Return the mean after a round, in the type of the weights.

    In the first rounds less is kept than ``decay`` says, or the start would weigh as much as all that follows.

    Args:
        mean: The mean after the round before; before the first round the starting weights.
        weights: The weights after this round.
        round_number: Counted from 1.
        decay: The share of the mean that is kept.

    Example:
        >>> import numpy as np
        >>> averaged({"a": np.zeros(1)}, {"a": np.ones(1)}, 1000, 0.9)["a"].round(3).tolist()
        [0.1]
    """
    kept = min(decay, (1 + round_number) / (10 + round_number))
    return {
        name: (mean[name] + (1 - kept) * (array - mean[name].astype("float64"))).astype(array.dtype)
        for name, array in weights.items()
    }
