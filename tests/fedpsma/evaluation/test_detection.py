from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpsma.evaluation.detection import HIT_RULES, ScanDetections, average_precision, froc, match_scan


def scan(scores, hits, found_at):
    return ScanDetections(np.array(scores, dtype=float), np.array(hits, dtype=bool), np.array(found_at, dtype=float))


@pytest.fixture
def strip():
    """One row of voxels: lesions 1, 2 and 5, candidates 1 to 4, the SUV with its maxima."""
    #                 0    1    2    3    4    5    6    7    8    9   10   11   12   13
    truth = np.array([1, 1, 1, 1, 0, 2, 2, 0, 5, 5, 5, 5, 5, 0], dtype=np.int32)
    found = np.array([0, 0, 1, 1, 1, 2, 2, 0, 3, 0, 0, 0, 0, 4], dtype=np.int32)
    suv = np.array([9, 8, 7, 6, 1, 5, 4, 1, 3, 9, 4, 4, 4, 7], dtype=np.float32)
    return tuple(line.reshape(-1, 1, 1) for line in (truth, found)), suv.reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("rule", "hits", "found"),
    [
        ("overlap", [True, True, True, False], [True, True, True]),
        ("suvmax", [False, True, False, False], [False, True, False]),
        ("iou", [True, True, True, False], [True, True, True]),  # 2/5, 1, 1/5
    ],
)
def test_hit_rules_by_hand(strip, rule, hits, found):
    (truth, candidates), suv = strip
    matched = match_scan(truth, candidates, np.array([0.9, 0.8, 0.7, 0.6]), suv, rule)
    assert matched.hits.tolist() == hits
    assert (matched.found_at > -np.inf).tolist() == found


def test_a_touch_is_an_overlap_but_not_enough_for_the_iou():
    truth = np.zeros((40, 1, 1), dtype=np.int32)
    truth[:20] = 1
    candidates = np.zeros_like(truth)
    candidates[19:] = 1
    suv = np.ones(truth.shape, dtype=np.float32)
    assert match_scan(truth, candidates, np.array([0.9]), suv, "overlap").hits.all()
    assert not match_scan(truth, candidates, np.array([0.9]), suv, "iou").hits.any()


@pytest.mark.parametrize("rule", HIT_RULES)
def test_no_candidate_and_no_lesion(rule):
    empty = np.zeros((3, 3, 3), dtype=np.int32)
    one = empty.copy()
    one[1, 1, 1] = 1
    suv = np.ones(empty.shape, dtype=np.float32)
    nothing = match_scan(one, empty, np.zeros(0), suv, rule)
    assert nothing.found_at.tolist() == [-np.inf]
    clean = match_scan(empty, one, np.array([0.5]), suv, rule)
    assert (clean.hits.tolist(), clean.found_at.size) == ([False], 0)


def test_froc_by_hand():
    """Two scans, three lesions; false positives score 0.8 and 0.3 in one scan, 0.5 in the healthy one."""
    sick = scan([0.9, 0.8, 0.6, 0.3], [True, False, True, False], [0.9, 0.6, -np.inf])
    healthy = scan([0.5], [False], [])
    points = froc([sick, healthy], [0.0, 0.5, 1.0, 1.5, 4.0])
    assert [point.sensitivity for point in points] == pytest.approx([1 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3])


def test_a_lesion_that_ties_with_a_false_positive_is_not_found_for_free():
    tied = scan([0.7, 0.7], [True, False], [0.7])
    assert froc([tied], [0.5])[0].sensitivity == 0.0
    assert froc([tied], [1.0])[0].sensitivity == 1.0


def test_average_precision_by_hand():
    """Ranked: hit (P 1, R 1/2), miss, hit (P 2/3, R 1): 1/2 + 1/2 * 2/3."""
    assert average_precision([scan([0.9, 0.5, 0.3], [True, False, True], [0.9, 0.3])]) == pytest.approx(1 / 2 + 1 / 3)


def test_perfect_and_useless():
    assert average_precision([scan([0.9, 0.8], [True, True], [0.9, 0.8])]) == 1.0
    assert average_precision([scan([0.9], [False], [-np.inf])]) == 0.0
    assert average_precision([scan([], [], [-np.inf])]) == 0.0
    assert math.isnan(average_precision([scan([0.4], [False], [])]))
    assert math.isnan(froc([scan([0.4], [False], [])])[0].sensitivity)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scans=st.integers(1, 5))
def test_more_false_positives_never_cost_sensitivity_and_order_does_not_matter(seed, scans):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(scans):
        scores = np.round(rng.random(rng.integers(0, 8)), 1)
        hits = rng.random(scores.size) < 0.5
        found = [rng.choice(scores[hits]) if hits.any() and rng.random() < 0.7 else -np.inf for _ in range(3)]
        made.append(scan(scores, hits, found))
    rates = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
    line = [point.sensitivity for point in froc(made, rates)]
    assert line == sorted(line)
    assert 0.0 <= average_precision(made) <= 1.0
    assert average_precision(made[::-1]) == pytest.approx(average_precision(made))
    monotone = [scan(one.scores / 2, one.hits, one.found_at / 2) for one in made]
    assert [point.sensitivity for point in froc(monotone, rates)] == line
