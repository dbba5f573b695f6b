"""Membership attacks on made-up losses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fedpsma.audit.attacks import Outcomes, attack_figures, auc, likelihood_ratio_scores, loss_scores, rates


def _made_up(models: int, patients: int, effect: float, seed: int) -> Outcomes:
    """Losses that differ much between patients and fall by ``effect`` (of the log) where the patient was trained on."""
    rng = np.random.default_rng(seed)
    hardness = np.random.default_rng(0).normal(0, 2.0, patients)
    members = rng.random((models, patients)) < 0.5
    return Outcomes(np.exp(hardness - effect * members + rng.normal(0, 0.2, members.shape)), members)


def test_auc_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    scores, members = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[members] for b in scores[~members]]
    assert auc(scores, members) == pytest.approx(np.mean(pairs))
    true, false = rates(scores, members)
    assert np.trapezoid(true, false) == pytest.approx(np.mean(pairs))


def test_likelihood_ratio_sees_what_a_threshold_does_not() -> None:
    """Patients differ by far more than membership changes, so that one threshold for all is nearly blind."""
    shadows, targets = _made_up(64, 200, 0.4, 2), _made_up(8, 200, 0.4, 3)
    plain = attack_figures(loss_scores(targets), targets.members)
    ratio = attack_figures(likelihood_ratio_scores(targets, shadows), targets.members)
    best = norm.cdf(0.4 / 0.2 / np.sqrt(2))
    assert plain.auc.value is not None
    assert ratio.auc.value is not None
    assert plain.auc.value < 0.6
    assert best - 0.05 < ratio.auc.value < best + 0.02
    assert ratio.auc.low is not None
    assert ratio.auc.high is not None
    assert ratio.auc.low < best < ratio.auc.high + 0.05
    assert ratio.advantage > 0.5


def test_without_an_effect_both_attacks_are_guesses() -> None:
    found = []
    for seed in range(10, 20):
        shadows, targets = _made_up(32, 300, 0.0, seed), _made_up(8, 300, 0.0, 100 + seed)
        found.append(
            [
                auc(s.ravel(), targets.members.ravel())
                for s in (loss_scores(targets), likelihood_ratio_scores(targets, shadows))
            ]
        )
    assert np.abs(np.mean(found, axis=0) - 0.5).max() < 0.015


def test_a_patient_whom_all_shadows_know_is_left_out() -> None:
    shadows, targets = _made_up(6, 10, 1.0, 6), _made_up(2, 10, 1.0, 7)
    shadows.members[:, 3] = True
    scores = likelihood_ratio_scores(targets, shadows)
    assert np.isnan(scores[:, 3]).all()
    assert np.isfinite(attack_figures(scores, targets.members).advantage)
