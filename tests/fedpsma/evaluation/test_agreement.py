from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from fedpsma.evaluation.agreement import PairedMoments, confusion, equivalence, weighted_kappa

# Bland and Altman, Lancet 1986: peak expiratory flow (l/min), first readings of the Wright and the mini meter.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def moments(true, found):
    return PairedMoments.of(np.ones((1, len(true))), np.arange(len(true)), true, found)


def test_limits_of_agreement_are_those_that_bland_and_altman_published():
    """They give a mean difference (Wright minus mini) of -2.1 l/min with a standard deviation of 38.8 l/min."""
    found = moments(MINI, WRIGHT)
    low, high = found.limits_of_agreement()
    assert found.bias()[0] == pytest.approx(-2.1, abs=0.05)
    assert (high[0] - low[0]) / (2 * 1.96) == pytest.approx(38.8, abs=0.05)


def test_concordance_by_hand():
    """Lin: 2 s_xy / (s_x2 + s_y2 + (mx - my)2) = 2 * 5/4 / (5/4 + 5/4 + 1) for the same numbers one apart."""
    assert moments([1, 2, 3, 4], [2, 3, 4, 5]).concordance()[0] == pytest.approx(2.5 / 3.5)
    assert moments([1, 2, 3], [1, 2, 3]).concordance()[0] == 1.0
    assert moments([1, 2, 3], [3, 2, 1]).concordance()[0] == -1.0
    assert math.isnan(moments([2, 2], [2, 2]).concordance()[0])


def test_concordance_keeps_its_digits_far_from_zero():
    near, far = moments([1, 2, 4], [2, 2, 5]), moments([1e8 + 1, 1e8 + 2, 1e8 + 4], [1e8 + 2, 1e8 + 2, 1e8 + 5])
    assert far.concordance()[0] == pytest.approx(near.concordance()[0], rel=1e-6)


def test_drawn_pairs_count_as_often_as_their_patient_was_drawn():
    weights, owner = np.array([[2.0, 1.0, 0.0]]), np.array([0, 1, 2])
    drawn = PairedMoments.of(weights, owner, [1, 5, 9], [2, 4, 9])
    written_out = moments([1, 1, 5], [2, 2, 4])
    assert drawn.concordance()[0] == pytest.approx(written_out.concordance()[0])
    assert drawn.limits_of_agreement()[1][0] == pytest.approx(written_out.limits_of_agreement()[1][0])


def test_volumes_are_equivalent_only_when_the_interval_lies_inside_the_margin():
    rng = np.random.default_rng(0)
    true = rng.lognormal(2.0, 1.0, 40)
    patients = list(range(40))
    close = equivalence(true, true * rng.lognormal(0.0, 0.1, 40), patients)
    far = equivalence(true, true * rng.lognormal(0.35, 0.1, 40), patients)
    assert close.equivalent
    assert -20 < close.low < close.high < 20
    assert not far.equivalent
    assert far.high > 20
    assert (close.p < 0.05, far.p < 0.05) == (True, False)


def test_equivalence_takes_a_patient_once_and_leaves_out_scans_without_a_volume():
    found = equivalence([10, 10, 20, 0], [11, 12, 21, 0], [0, 0, 1, 2])
    assert found.patients == 2
    assert equivalence([0, 0], [0, 0], [0, 1]) is None


@pytest.mark.parametrize("seed", range(5))
def test_weighted_kappa_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    order = ("M0", "M1a", "M1b", "M1c")
    true = rng.choice(order, 60)
    found = np.where(rng.random(60) < 0.6, true, rng.choice(order, 60))
    expected = cohen_kappa_score(true, found, labels=order, weights="linear")
    assert weighted_kappa(confusion(true, found, order)) == pytest.approx(expected)


def test_many_tables_at_once_and_a_class_alone_has_no_kappa():
    tables = np.array([[[20.0, 5.0], [10.0, 15.0]], [[7.0, 0.0], [0.0, 0.0]]])
    kappa = weighted_kappa(tables)
    assert kappa[0] == pytest.approx(0.4)
    assert math.isnan(kappa[1])


def test_a_class_without_a_place_is_named():
    with pytest.raises(ValueError, match="M9"):
        confusion(["M0"], ["M9"], ("M0", "M1"))
