from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest

from fedpsma.evaluation.bootstrap import patient_bootstrap


def test_the_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(3).normal(10.0, 2.0, size=200)
    found = patient_bootstrap([[value] for value in values], fmean, np.random.default_rng(0))
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / math.sqrt(200)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def test_the_patient_is_the_unit():
    """A hundred scans of four patients say no more than the four patients."""
    scans = [[value] * 25 for value in (0.0, 1.0, 2.0, 3.0)]
    alone = [[value] for value in (0.0, 1.0, 2.0, 3.0)]
    many = patient_bootstrap(scans, fmean, np.random.default_rng(0))
    few = patient_bootstrap(alone, fmean, np.random.default_rng(0))
    assert (many.low, many.high) == pytest.approx((few.low, few.high))


def test_the_same_seed_gives_the_same_interval():
    records = [[1.0], [2.0], [5.0]]
    first, second = (patient_bootstrap(records, fmean, np.random.default_rng(7), replicates=50) for _ in range(2))
    assert first == second


def test_replicates_without_a_value_are_left_out_and_nothing_is_nan():
    def mean_of_known(values):
        known = [value for value in values if not math.isnan(value)]
        return fmean(known) if known else math.nan

    found = patient_bootstrap([[math.nan], [4.0]], mean_of_known, np.random.default_rng(0))
    assert (found.value, found.low, found.high) == (4.0, 4.0, 4.0)
    nothing = patient_bootstrap([[math.nan]], mean_of_known, np.random.default_rng(0))
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.low)
