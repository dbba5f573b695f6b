"""How much privacy a history of noisy steps has cost, by Opacus' accountants.

The unit is the patient: neighbouring data sets differ by all studies of one patient, added or removed.

Opacus takes seconds to load, with PyTorch under it, so that waits until something is to be counted.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from fedpsma.contract import LEAST_DELTA, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.training.charge import Charge
from fedpsma.training.subject import PatientData

_SAFETY_FACTOR = 1.01
_NOISE_RANGE, _NOISE_PRECISION = (1e-2, 1e6), 1e-4
_SOMEWHAT_LESS = 0.95
_History = tuple[tuple[float, float, int], ...]


def epsilon_of(history: Sequence[Charge], delta: float) -> float:
    """Return the cumulative epsilon at ``delta``, never below zero: the larger of the RDP and the PRV accountant.

    Both are upper bounds, so showing the larger can only overstate the loss.

    Raises:
        InputError: ``delta`` is smaller than the accountants can count with.

    Example:
        >>> round(epsilon_of([Charge(noise_multiplier=1.0, sample_rate=0.1, steps=200)], 1e-5), 1)
        11.0
    """
    if delta < LEAST_DELTA:
        raise InputError(
            f"{delta:g} is less than the accountants can count with",
            where="delta",
            remedy=f"use {LEAST_DELTA:g} or more",
        )
    return _epsilon(_merged(history), delta)


def spend_of_round(plan: TrainingPlan, patients: int) -> Charge | None:
    """Return what one round of ``plan`` costs at a site of so many patients, ``None`` without differential privacy.

    A site writes this down before it trains.

    Raises:
        InputError: There is no patient, ``delta`` is above one over their number, or no noise reaches
            ``target_epsilon``.
    """
    if plan.target_epsilon is None:
        return None
    rate = sample_rate(plan, patients)
    require_small_delta(plan.delta, patients)
    sigma = _noise_multiplier(plan.target_epsilon, plan.delta, rate, plan.rounds * plan.steps_per_round)
    return Charge(noise_multiplier=sigma, sample_rate=rate, steps=plan.steps_per_round)


def cost(dataset: PatientData, plan: TrainingPlan) -> Charge | None:
    """Return what one round will cost the patients of a site, as :class:`fedpsma.training.trainer.Trainer` asks it.

    Raises:
        InputError: No noise keeps the plan's promise for so few patients.
    """
    return spend_of_round(plan, len(dataset.patients))


def accountant() -> str:
    """Return what :func:`epsilon_of` computes with, for a ledger."""
    return f"larger of RDP and PRV, opacus {version('opacus')}"


def sample_rate(plan: TrainingPlan, patients: int) -> float:
    """Return the chance of each patient to take part in a step.

    Raises:
        InputError: There is no patient at all.
    """
    if patients == 0:
        raise InputError("holds no patient", where="the data set", remedy="add studies, or leave the federation")
    return min(1.0, plan.patients_per_step / patients)


def require_small_delta(delta: float, patients: int) -> None:
    """Raise :class:`InputError` where delta would allow to publish a whole patient now and then."""
    if delta > 1 / patients:
        raise InputError(
            f"{delta:g} is above 1/{patients}, one over the number of patients",
            where="delta",
            remedy=f"use {1 / patients:.2g} or less",
        )


def _merged(history: Sequence[Charge]) -> _History:
    """Add up the steps of equal noise and rate: the loss does not depend on the order, the work on the different ones.

    Projects that take turns on one ledger leave hardly two equal neighbours.
    """
    steps: Counter[tuple[float, float]] = Counter()
    for spend in history:
        steps[spend.noise_multiplier, spend.sample_rate] += spend.steps
    return tuple((sigma, rate, count) for (sigma, rate), count in sorted(steps.items()))


@lru_cache(maxsize=256)
def _epsilon(history: _History, delta: float) -> float:
    if not history:
        return 0.0
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = list(history)
    with _quiet():
        both = _renyi_epsilon(history, delta, _orders())[0], float(accountant.get_epsilon(delta=delta))
    # With much noise both can come out a little below zero, which no loss is. No number stays none, as max would not.
    return float(np.max([0.0, *both]))


@lru_cache(maxsize=1)
def _orders() -> tuple[float, ...]:
    """Return the Renyi orders that Opacus tries."""
    from opacus.accountants import RDPAccountant

    return tuple(RDPAccountant.DEFAULT_ALPHAS)


def _renyi_epsilon(history: _History, delta: float, orders: tuple[float, ...]) -> tuple[float, float]:
    """Return what Opacus' RDP accountant does for a history, and the order that was the best of those given."""
    from opacus.accountants.analysis import rdp as renyi

    divergence = sum(_divergence(sigma, rate, orders) * steps for sigma, rate, steps in history)
    epsilon, best = renyi.get_privacy_spent(orders=orders, rdp=divergence, delta=delta)
    return float(epsilon), float(best)


@lru_cache(maxsize=256)
def _divergence(sigma: float, rate: float, orders: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the Renyi divergence of one step at each order; half a second for all of them, so it is kept."""
    from opacus.accountants.analysis import rdp as renyi

    return np.asarray(renyi.compute_rdp(q=rate, noise_multiplier=sigma, steps=1, orders=orders))


@lru_cache(maxsize=64)
def _noise_multiplier(target_epsilon: float, delta: float, rate: float, steps: int) -> float:
    """Return the least noise that keeps the target, to one in ten thousand.

    The divergence at fractional orders takes a hundred times longer than at whole ones. So the noise is found at whole
    orders first, and then at those around the order that is the best there.
    """
    orders = _orders()
    whole = tuple(order for order in orders if order == int(order))
    with _quiet():
        rough = _least_noise(_excess(target_epsilon, delta, (rate, steps), whole))
        if rough is None:
            raise InputError(
                f"no noise reaches {target_epsilon:g} in {steps} steps",
                where="target_epsilon",
                remedy="ask for fewer steps or a larger budget",
            )
        best = _renyi_epsilon(((rough, rate, steps),), delta, orders)[1]
        near = tuple(order for order in orders if abs(order - best) <= max(0.3, 0.05 * best))
        excess = _excess(target_epsilon, delta, (rate, steps), near)
        # More orders never ask for more noise, and seldom for much less.
        least = _SOMEWHAT_LESS * rough if excess(math.log(_SOMEWHAT_LESS * rough)) > 0 else _NOISE_RANGE[0]
        sigma = _least_noise(excess, (least, rough)) or rough
    while _epsilon(((sigma, rate, steps),), delta) > target_epsilon:
        sigma *= _SAFETY_FACTOR
    return sigma


def _excess(
    target_epsilon: float, delta: float, work: tuple[float, int], orders: tuple[float, ...]
) -> Callable[[float], float]:
    """Return how far a noise overshoots the target, from the logarithm of the noise."""
    rate, steps = work

    def excess(logarithm: float) -> float:
        # A little below the target, so that the root that is found keeps it.
        return _renyi_epsilon(((math.exp(logarithm), rate, steps),), delta, orders)[0] - 0.999 * target_epsilon

    return excess


def _least_noise(excess: Callable[[float], float], between: tuple[float, float] = _NOISE_RANGE) -> float | None:
    """Return the least noise in a range without excess, ``None`` where there is none."""
    least, most = (math.log(end) for end in between)
    if excess(most) > 0:
        return None
    if excess(least) <= 0:
        return math.exp(least)
    return math.exp(brentq(excess, least, most, xtol=_NOISE_PRECISION))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Opacus says at the ends of its ranges, where its bounds hold all the same.

    It warns where the best Renyi order is the largest or smallest it tried, and takes log(0) where every patient takes
    part in every step.
    """
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.filterwarnings("ignore", message="Optimal order is the")
        yield
