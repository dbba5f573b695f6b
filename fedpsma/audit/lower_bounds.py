"""Lower bounds of epsilon from what an attack achieved, at a stated confidence.

Two situations: independent trials of one patient each (two error rates, Clopper and Pearson 1934), and one training run
in which many patients were each in or out by the toss of a coin (Steinke, Nasr, Jagielski 2023, arXiv 2305.08846).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

CONFIDENCE = 0.95
GUESSED_SHARES = (0.05, 0.1, 0.25, 0.5, 1.0)
"""The shares of the patients that are guessed on; fixed beforehand, each pays its part of the error level."""

_LARGEST_EPSILON = 50.0
_HALVINGS = 25
_LEARNT_PART = 3

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.intp]


@dataclass(frozen=True)
class Rates:
    """Independent trials: ``found`` of ``members`` and ``mistaken`` of ``others`` were called members."""

    found: int
    members: int
    mistaken: int
    others: int


@dataclass(frozen=True)
class Guesses:
    """``right`` of ``made`` guesses were right about ``patients`` who were each in or out by the toss of a coin."""

    patients: int
    made: int
    right: int


@dataclass(frozen=True)
class LowerBound:
    """With probability of at least ``confidence`` the true epsilon (at ``delta``) is no less than ``epsilon``."""

    epsilon: float
    delta: float
    confidence: float


def epsilon_from_rates(rates: Rates, delta: float, confidence: float = CONFIDENCE) -> LowerBound:
    """Return the bound from the two error rates of one attack with a threshold that was chosen on other trials.

    Both rates are bounded by Clopper and Pearson, each at half the error level.

    Example:
        >>> round(epsilon_from_rates(Rates(1000, 1000, 0, 1000), delta=0.0).epsilon, 2)
        5.6
    """
    found, mistaken = np.array([rates.found]), np.array([rates.mistaken])
    proved = _proved(found, rates.members, mistaken, rates.others, delta=delta, confidence=confidence)
    return LowerBound(float(proved[0]), delta, confidence)


def epsilon_from_trials(
    inside: Floats, outside: Floats, delta: float, confidence: float = CONFIDENCE
) -> tuple[LowerBound, Rates]:
    """Return the bound from scores of independent trials; the threshold is chosen on the first third of them.

    Args:
        inside: Scores with the patient in the data, the higher the more like a member.
        outside: Scores without the patient.
        delta: The delta of the bound.
        confidence: Its confidence.
    """
    learnt = len(inside) // _LEARNT_PART
    learnt_in, learnt_out, tested_in, tested_out = inside[:learnt], outside[:learnt], inside[learnt:], outside[learnt:]
    candidates = np.quantile(np.concatenate([learnt_in, learnt_out]), np.linspace(0.0, 1.0, 401))
    found, mistaken = _at_least(learnt_in, candidates), _at_least(learnt_out, candidates)
    proved = _proved(found, learnt, mistaken, learnt, delta=delta, confidence=confidence)
    best = candidates[[int(np.argmax(proved))]]
    found, mistaken = _at_least(tested_in, best), _at_least(tested_out, best)
    rates = Rates(int(found[0]), len(tested_in), int(mistaken[0]), len(tested_out))
    return epsilon_from_rates(rates, delta, confidence), rates


def p_value(guesses: Guesses, epsilon: float, delta: float) -> float:
    """Return how likely so many right guesses are at most if the training is (epsilon, delta)-private.

    Theorem 5.2 of Steinke, Nasr, Jagielski 2023, in the form of the program in their appendix.

    Example:
        >>> p_value(Guesses(10, 10, 10), 0.0, 0.0) == 2**-10
        True
    """
    made, right = guesses.made, guesses.right
    accuracy = 1 / (1 + math.exp(-epsilon))
    at_least = float(binom.sf(right - 1, made, accuracy))
    just_below = np.cumsum(binom.pmf(np.arange(right - 1, -1, -1), made, accuracy))
    slope = float(np.max(just_below / np.arange(1, right + 1), initial=0.0))
    return min(1.0, at_least + 2 * guesses.patients * delta * slope)


def epsilon_from_guesses(guesses: Guesses, delta: float, confidence: float = CONFIDENCE) -> LowerBound:
    """Return the largest epsilon that the guesses contradict at this confidence."""
    level = 1 - confidence
    epsilon = _largest(lambda epsilon: p_value(guesses, epsilon, delta) < level)
    return LowerBound(epsilon, delta, confidence)


def epsilon_from_scores(
    scores: Floats, members: Bools, delta: float, confidence: float = CONFIDENCE
) -> tuple[LowerBound, Guesses]:
    """Return the bound from the scores of patients who were each in or out by the toss of a coin.

    The highest scores are guessed to be members, as many of the lowest not to be. Several shares are tried, each at its
    part of the error level (Bonferroni), and the best bound is returned with its guesses.
    """
    order = np.argsort(scores, kind="stable")
    each = 1 - (1 - confidence) / len(GUESSED_SHARES)
    found = []
    for share in GUESSED_SHARES:
        half = int(share * len(scores)) // 2
        right = int(members[order[len(order) - half :]].sum() + (~members[order[:half]]).sum())
        guesses = Guesses(len(scores), 2 * half, right)
        found.append((epsilon_from_guesses(guesses, delta, each).epsilon, guesses))
    epsilon, guesses = max(found, key=lambda one: (one[0], one[1].made))
    return LowerBound(epsilon, delta, confidence), guesses


def _proved(found: Counts, members: int, mistaken: Counts, others: int, *, delta: float, confidence: float) -> Floats:
    """Return what each pair of counts proves: both ends of the trade-off, whichever says more."""
    each = (1 - confidence) / 2
    true, false = _lower(found, members, each), 1 - _lower(others - mistaken, others, each)
    ratios = [_quotient(true - delta, false), _quotient(1 - false - delta, 1 - true)]
    return np.asarray(np.log(np.maximum.reduce([np.ones_like(true), *ratios])))


def _at_least(scores: Floats, thresholds: Floats) -> Counts:
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")


def _lower(counts: Counts, trials: int, level: float) -> Floats:
    return np.where(counts > 0, beta.ppf(level, np.maximum(counts, 1), trials - counts + 1), 0.0)


def _quotient(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _largest(contradicted: Callable[[float], bool]) -> float:
    """Return the largest epsilon of a range that begins at 0 and is contradicted throughout; 0 where none is."""
    low, high = 0.0, _LARGEST_EPSILON
    if not contradicted(0.0):
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if contradicted(middle) else (low, middle)
    return low
