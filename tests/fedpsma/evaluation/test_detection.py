from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpsma.evaluation.bootstrap import draw_weights
from fedpsma.evaluation.detection import HIT_RULES, PooledDetections, ScanDetections, found_at, hit_matrix


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
    matrix = hit_matrix(truth, candidates, 4, suv, rule)
    assert matrix.any(axis=1).tolist() == hits
    assert matrix.any(axis=0).tolist() == found


def test_a_lesion_is_found_at_the_highest_score_that_hits_it():
    hits = np.array([[True, False, False], [True, True, False]])
    assert found_at(hits, np.array([0.4, 0.7])).tolist() == [0.7, 0.7, -np.inf]


def test_a_touch_is_an_overlap_but_not_enough_for_the_iou():
    truth = np.zeros((40, 1, 1), dtype=np.int32)
    truth[:20] = 1
    candidates = np.zeros_like(truth)
    candidates[19:] = 1
    suv = np.ones(truth.shape, dtype=np.float32)
    assert hit_matrix(truth, candidates, 1, suv, "overlap").all()
    assert not hit_matrix(truth, candidates, 1, suv, "iou").any()


@pytest.mark.parametrize("rule", HIT_RULES)
def test_no_candidate_and_no_lesion(rule):
    empty = np.zeros((3, 3, 3), dtype=np.int32)
    one = empty.copy()
    one[1, 1, 1] = 1
    suv = np.ones(empty.shape, dtype=np.float32)
    assert hit_matrix(one, empty, 0, suv, rule).shape == (0, 1)
    assert hit_matrix(empty, one, 1, suv, rule).shape == (1, 0)


def sensitivities(scans, rates, patients=None):
    pooled = PooledDetections.of(scans, patients or range(len(scans)))
    return pooled.sensitivity_at(np.ones((1, pooled.scans.size)), rates)[0].tolist()


def precision_of(scans):
    pooled = PooledDetections.of(scans, range(len(scans)))
    return float(pooled.average_precision(np.ones((1, pooled.scans.size)))[0])


def test_froc_by_hand():
    """Two scans, three lesions; false positives score 0.8 and 0.3 in one scan, 0.5 in the healthy one."""
    sick = scan([0.9, 0.8, 0.6, 0.3], [True, False, True, False], [0.9, 0.6, -np.inf])
    healthy = scan([0.5], [False], [])
    points = sensitivities([sick, healthy], [0.0, 0.5, 1.0, 1.5, 4.0])
    assert points == pytest.approx([1 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3])


def test_a_lesion_that_ties_with_a_false_positive_is_not_found_for_free():
    tied = scan([0.7, 0.7], [True, False], [0.7])
    assert sensitivities([tied], [0.5, 1.0]) == [0.0, 1.0]


def test_average_precision_by_hand():
    """Ranked: hit (P 1, R 1/2), miss, hit (P 2/3, R 1): 1/2 + 1/2 * 2/3."""
    assert precision_of([scan([0.9, 0.5, 0.3], [True, False, True], [0.9, 0.3])]) == pytest.approx(1 / 2 + 1 / 3)


def test_perfect_and_useless():
    assert precision_of([scan([0.9, 0.8], [True, True], [0.9, 0.8])]) == 1.0
    assert precision_of([scan([0.9], [False], [-np.inf])]) == 0.0
    assert precision_of([scan([], [], [-np.inf])]) == 0.0
    assert math.isnan(precision_of([scan([0.4], [False], [])]))
    assert math.isnan(sensitivities([scan([0.4], [False], [])], [1.0])[0])


def made_up(seed, scans):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(scans):
        scores = np.round(rng.random(rng.integers(0, 8)), 1)
        hits = rng.random(scores.size) < 0.5
        found = [rng.choice(scores[hits]) if hits.any() and rng.random() < 0.7 else -np.inf for _ in range(3)]
        made.append(scan(scores, hits, found))
    return made


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), scans=st.integers(1, 5))
def test_more_false_positives_never_cost_sensitivity_and_order_does_not_matter(seed, scans):
    made = made_up(seed, scans)
    rates = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0]
    line = sensitivities(made, rates)
    assert line == sorted(line)
    assert 0.0 <= precision_of(made) <= 1.0
    assert precision_of(made[::-1]) == pytest.approx(precision_of(made))
    assert sensitivities([scan(one.scores / 2, one.hits, one.found_at / 2) for one in made], rates) == line


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), scans=st.integers(2, 6))
def test_a_draw_of_patients_is_the_same_as_the_scans_written_out(seed, scans):
    """The fast way through all draws at once against the plain way, one drawn sample after the other."""
    made = made_up(seed, scans)
    patients = [number // 2 for number in range(scans)]
    pooled = PooledDetections.of(made, patients)
    weights = draw_weights(pooled.scans.size, np.random.default_rng(seed), 8)
    fast = pooled.average_precision(weights), pooled.sensitivity_at(weights, [0.5, 1.0, 2.0])
    for row, precision, sensitivity in zip(weights, *fast, strict=True):
        drawn = [one for one, owner in zip(made, patients, strict=True) for _ in range(int(row[owner]))]
        assert precision == pytest.approx(precision_of(drawn))
        assert sensitivity == pytest.approx(sensitivities(drawn, [0.5, 1.0, 2.0]))


def test_average_precision_is_that_of_scikit_learn_where_every_lesion_has_one_candidate():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(2)
    scores, hits = rng.random(200), rng.random(200) < 0.3
    assert precision_of([scan(scores, hits, scores[hits])]) == pytest.approx(average_precision_score(hits, scores))
