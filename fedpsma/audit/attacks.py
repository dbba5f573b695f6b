"""Membership inference: who was in the training data, told from what a model says of each patient.

Loss threshold (Yeom et al. 2018, arXiv 1709.01604) and the likelihood-ratio attack with shadow models (LiRA, Carlini et
al. 2022, arXiv 2112.03570), both on one number a patient: the loss of the model on patches of that patient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fedpsma.evaluation.bootstrap import Figure, draw_weights, figure_of

FALSE_POSITIVE_RATES = (0.01, 0.1)
_REPLICATES = 400
_LEAST_SPREAD = 1e-6

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Outcomes:
    """What models say of patients: ``losses`` (models, patients), and which of them each model was trained on."""

    losses: Floats
    members: Bools


@dataclass(frozen=True)
class AttackFigures:
    """How well an attack tells members from others.

    ``advantage`` is the largest true minus false positive rate over all thresholds; ``found_at`` the true positive rate
    at each of :data:`FALSE_POSITIVE_RATES`. The interval of ``auc`` treats the patient as the unit.
    """

    auc: Figure
    advantage: float
    found_at: tuple[float, ...]


def loss_scores(targets: Outcomes) -> Floats:
    """Return scores (models, patients): the lower the loss, the more like a member."""
    return -_scaled(targets.losses)


def likelihood_ratio_scores(targets: Outcomes, shadows: Outcomes) -> Floats:
    """Return LiRA's scores (models, patients): log-likelihood of the loss among shadows with and without the patient.

    Gaussians a patient, with one spread for all patients, which serves better where shadows are few (Carlini et al.
    2022, section VI). NaN for a patient that all shadows, or none, were trained on.
    """
    seen, shadow = -_scaled(targets.losses), -_scaled(shadows.losses)
    logs = [_log_normal(seen, shadow, chosen) for chosen in (shadows.members, ~shadows.members)]
    return logs[0] - logs[1]


def attack_figures(scores: Floats, members: Bools, seed: int = 0) -> AttackFigures:
    """Return how well scores (models, patients) tell who was a member of which model; NaN scores are left out."""
    known = np.isfinite(scores)
    true, false = rates(scores[known], members[known])
    found_at = tuple(float(true[np.searchsorted(false, rate, side="right") - 1]) for rate in FALSE_POSITIVE_RATES)
    weights = draw_weights(scores.shape[1], np.random.default_rng(seed), _REPLICATES)
    areas = np.array([_weighted_auc(scores, members, row) for row in weights])
    return AttackFigures(figure_of(areas), float((true - false).max()), found_at)


def rates(scores: Floats, members: Bools) -> tuple[Floats, Floats]:
    """Return true and false positive rates from the strictest threshold on, both beginning at 0.

    Example:
        >>> rates(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]))
        (array([0. , 0.5, 0.5, 1. ]), array([0., 0., 1., 1.]))
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    true, false = np.cumsum(members[order])[last], np.cumsum(~members[order])[last]
    return np.append(0.0, true / max(1, true[-1])), np.append(0.0, false / max(1, false[-1]))


def _weighted_auc(scores: Floats, members: Bools, weights: Floats) -> float:
    """Return the area of the sample in which each patient counts as often as drawn."""
    times = weights.astype(np.intp)
    drawn, told = np.repeat(scores, times, axis=1).ravel(), np.repeat(members, times, axis=1).ravel()
    known = np.isfinite(drawn)
    return auc(drawn[known], told[known])


def auc(scores: Floats, members: Bools) -> float:
    """Return the area under the ROC curve (Mann and Whitney 1947); NaN where one class is missing.

    Example:
        >>> auc(np.array([3.0, 2.0, 1.0]), np.array([True, True, False]))
        1.0
    """
    inside, outside = int(members.sum()), int((~members).sum())
    if not inside or not outside:
        return float("nan")
    ranks = float(rankdata(scores)[members].sum())
    return (ranks - inside * (inside + 1) / 2) / (inside * outside)


def _scaled(losses: Floats) -> Floats:
    """Return the logarithm of the losses, which spread more evenly than the losses themselves."""
    return np.log(np.maximum(losses, _LEAST_SPREAD))


def _log_normal(seen: Floats, shadow: Floats, chosen: Bools) -> Floats:
    """Return log-densities of what is seen under the Gaussian of each patient's chosen shadows."""
    count = chosen.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = np.where(count > 0, (shadow * chosen).sum(axis=0) / count, np.nan)
    squares = np.where(chosen, (shadow - middle) ** 2, 0.0)
    freedom = max(1, int(np.maximum(count - 1, 0).sum()))
    spread = max(float(np.sqrt(squares.sum() / freedom)), _LEAST_SPREAD)
    density: Floats = -0.5 * ((seen - middle) / spread) ** 2 - np.log(spread)
    return density
