from __future__ import annotations

import math

import numpy as np
import pytest

from fedpsma.evaluation.calibration import Forecasts

ALL = np.ones((1, 1))


def forecasts(probabilities, events):
    return Forecasts.of(probabilities, events, np.zeros(len(probabilities), dtype=np.intp))


def test_calibration_error_by_hand():
    """Two bins of two: |0.1 + 0.3 - 0| / 2 and |0.6 + 0.8 - 1| / 2, each half of the foci."""
    found = forecasts([0.1, 0.3, 0.6, 0.8], [False, False, False, True])
    assert found.calibration_error(ALL, bins=2)[0] == pytest.approx(0.5 * 0.2 + 0.5 * 0.2)
    assert [one.foci for one in found.reliability(1, bins=2)] == [2, 2]
    assert found.reliability(1, bins=2)[1].observed == 0.5


def test_probabilities_that_hold_have_a_small_error_and_shifted_ones_their_shift():
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(0.2, 0.8, 20_000)
    events = rng.random(20_000) < probabilities
    assert forecasts(probabilities, events).calibration_error(ALL)[0] < 0.015
    assert forecasts(probabilities + 0.2, events).calibration_error(ALL)[0] == pytest.approx(0.2, abs=0.01)


def test_bins_hold_equal_numbers_and_never_part_equal_probabilities():
    found = forecasts([0.5] * 10, [True, False] * 5)
    assert found.calibration_error(ALL)[0] == 0.0
    sizes = [one.foci for one in forecasts(np.linspace(0, 1, 150), [True] * 150).reliability(1)]
    assert sizes == [10] * 15


def test_the_order_of_foci_does_not_matter():
    rng = np.random.default_rng(1)
    probabilities, events = np.round(rng.random(60), 1), rng.random(60) < 0.5
    shuffled = rng.permutation(60)
    one, other = forecasts(probabilities, events), forecasts(probabilities[shuffled], events[shuffled])
    assert one.calibration_error(ALL)[0] == pytest.approx(other.calibration_error(ALL)[0])


def test_a_drawn_patient_brings_all_his_foci():
    owner = np.array([0, 0, 1])
    found = Forecasts.of([0.2, 0.9, 0.6], [False, True, False], owner)
    weights = np.array([[2.0, 0.0]])
    alone = forecasts([0.2, 0.2, 0.9, 0.9], [False, False, True, True])
    assert found.calibration_error(weights)[0] == pytest.approx(alone.calibration_error(ALL)[0])


def test_thresholds_of_95_percent_leave_the_middle_undecided():
    """Ten foci: the three lowest are none, the four highest are lesions, the three between are mixed."""
    probabilities = np.linspace(0.05, 0.95, 10)
    events = [False] * 3 + [True, False, False] + [True] * 4
    assert forecasts(probabilities, events).undecided_at() == pytest.approx(0.3)
    assert forecasts([0.1, 0.9], [False, True]).undecided_at() == 0.0
    assert math.isnan(forecasts([], []).undecided_at())
    assert math.isnan(forecasts([], []).calibration_error(ALL)[0])
