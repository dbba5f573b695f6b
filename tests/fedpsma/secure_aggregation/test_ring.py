"""The ring: no sum within the bounds wraps around, and none is wrong by more than was promised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedpsma.contract import SecureAggregation
from fedpsma.errors import InputError
from fedpsma.secure_aggregation.ring import MOST_SITES, FixedPoint

NORMS = st.floats(1e-3, 1e3)


@given(data=st.data(), sites=st.integers(1, MOST_SITES), norm=NORMS)
def test_a_sum_is_right_to_a_millionth_of_the_largest_change(data: st.DataObject, sites: int, norm: float) -> None:
    largest = norm / data.draw(st.integers(1, 40))
    code = FixedPoint(sites, norm, largest)
    # The worst of all updates: the largest change in one coordinate, with the same sign at every site.
    extremes = st.sampled_from([-largest, largest, 0.0, largest / 3])
    corners = [data.draw(extremes) for _ in range(sites)]
    updates = np.zeros((sites, 2))
    updates[:, 0] = corners
    weights = [data.draw(st.floats(1e-3, 1)) for _ in range(sites)]
    total = np.zeros(3, np.uint32)
    for update, weight in zip(updates, weights, strict=True):
        total += code.encode(update, weight)
    signed = total.view(np.int32)[:-1] / code.scale
    expected = np.asarray(weights, np.float64) @ updates
    assert np.abs(signed - expected).max() <= code.largest_error * (1 + 1e-9)
    assert code.largest_error <= 1e-6 * largest


@given(update=arrays(np.float64, 5, elements=st.floats(-1e6, 1e6)), norm=NORMS)
def test_a_longer_update_is_shortened_and_keeps_its_direction(update: np.ndarray, norm: float) -> None:
    code = FixedPoint(3, norm, norm)
    mean, weight = code.decode(code.encode(update, 1.0))
    length = float(np.linalg.norm(update))
    expected = update * min(1.0, norm / length) if length else update
    np.testing.assert_allclose(mean, expected, atol=1.01 / code.scale)
    assert weight == 1.0


def test_a_weight_that_would_change_too_much_is_held() -> None:
    mean, _ = FixedPoint(3, 9.0, 2.0).decode(FixedPoint(3, 9.0, 2.0).encode(np.array([5.0, -1.0, -3.0]), 1.0))
    np.testing.assert_allclose(mean, [2.0, -1.0, -2.0], atol=1e-8)


def test_all_errors_together_stay_below_a_millionth_of_the_norm() -> None:
    """With the plan's own bounds, twenty sites and a network of 2.3 million weights: by the variance of rounding."""
    code = FixedPoint(20, SecureAggregation().update_norm, SecureAggregation().largest_change)
    expected_length = np.sqrt(2.3e6 * 20 / 12) / code.scale
    assert expected_length <= 1e-6 * code.norm


def test_equal_weights_are_exact() -> None:
    code = FixedPoint(7, 2.0, 1.0)
    total = sum((code.encode(np.zeros(3), 1.0) for _ in range(5)), np.zeros(4, np.uint32))
    assert code.decode(total)[1] == 5.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_not_encoded(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        FixedPoint(3, 1.0, 1.0).encode(np.array([0.0, bad]), 1.0)


@pytest.mark.parametrize("weight", [0.0, -1.0, 1.1, np.nan])
def test_weights_out_of_range_are_not_encoded(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        FixedPoint(3, 1.0, 1.0).encode(np.zeros(2), weight)


def test_a_sum_beyond_the_bounds_is_no_sum() -> None:
    code = FixedPoint(3, 1.0, 1.0)
    honest = code.encode(np.array([0.5, 0.5]), 1.0)
    spoilt = honest.copy()
    spoilt[0] += np.uint32(2**30)
    with pytest.raises(ValueError, match="longer"):
        code.decode(spoilt)
    spoilt = honest.copy()
    spoilt[-1] = 0
    with pytest.raises(ValueError, match="weights"):
        code.decode(spoilt)


def test_more_sites_than_can_be_summed_exactly_are_refused() -> None:
    with pytest.raises(InputError, match="at most 64"):
        FixedPoint(65, 1.0, 1.0)
