"""Audit of the private step itself: the strongest patient there can be, over all steps, against noise alone.

No network is needed: a patient whose gradient points one way, far above the clipping norm, is in the data or not, and
an attacker who sees every noisy step adds up the likelihood ratios (Nasr et al. 2023, arXiv 2302.07956). Wrong noise,
noise left out of empty draws, or a clip that does not hold raise the bound above what the accountant claims.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fedpsma.audit.lower_bounds import Floats, LowerBound, Rates, epsilon_from_trials
from fedpsma.training.charge import Charge
from fedpsma.training.clipping.flat import FlatClipping
from fedpsma.training.dp import PrivateStep, draw_patients, private_gradient
from fedpsma.training.randomness import Randomness

TRIALS = 20_000
_AT_ONCE = 1000
_FAR_ABOVE_CLIP = 100.0

OnTrial = Callable[[int, int], None]


def audit_mechanism(
    spend: Charge,
    delta: float,
    randomness: Randomness,
    trials: int = TRIALS,
    on_trial: OnTrial | None = None,
) -> tuple[LowerBound, Rates]:
    """Return the epsilon that the private step is proved to cost, with the attack's rates on the trials it rests on.

    Args:
        spend: Steps, noise and sampling rate to audit, usually those of a whole run.
        delta: The delta of the bound.
        randomness: Where the draws of the mechanism come from.
        trials: Patients that are in the data, and as many that are not.
        on_trial: Called from time to time with (trials done, trials in all).
    """
    inside, outside = [], []
    for done in range(0, trials, _AT_ONCE):
        count = min(_AT_ONCE, trials - done)
        scores = _scores(spend, randomness, count)
        inside.append(scores[:count])
        outside.append(scores[count:])
        if on_trial is not None:
            on_trial(done + count, trials)
    return epsilon_from_trials(np.concatenate(inside), np.concatenate(outside), delta)


def _scores(spend: Charge, randomness: Randomness, count: int) -> Floats:
    """Run all steps once on ``count`` patients with gradients at right angles to each other.

    Returns:
        The log-likelihood ratio of "in" against "out" along the direction of each patient, and along as many directions
        of nobody (2 x count). The noise of each direction is independent, so each is a trial of its own.
    """
    step = PrivateStep(FlatClipping(1.0), spend.noise_multiplier, 1.0)
    total = np.zeros(2 * count)
    for _ in range(spend.steps):
        drawn = draw_patients(count, spend.sample_rate, randomness)
        blocks = ([_canary(patient, 2 * count)[None]] for patient in drawn)
        total += _log_ratio(private_gradient(blocks, 2 * count, step, randomness).numpy(), spend)
    return total


def _canary(direction: int, size: int) -> Tensor:
    gradient = torch.zeros(size)
    gradient[direction] = _FAR_ABOVE_CLIP
    return gradient


def _log_ratio(seen: Floats, spend: Charge) -> Floats:
    """Return log((1 - q) + q N(x; 1, s) / N(x; 0, s)) of what is seen of one step in each direction."""
    exponent = (2 * seen - 1) / (2 * spend.noise_multiplier**2)
    rate = spend.sample_rate
    never = math.log1p(-rate) if rate < 1 else -math.inf
    return np.asarray(np.logaddexp(never, math.log(rate) + exponent))
