from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from fedpsma.domain.contour import ContourConvention, contour_rules, threshold_suv
from fedpsma.lesions.candidates import CandidateOptions, find_candidates, paint, segment


def test_every_convention_has_exactly_one_rule():
    assert sorted(contour_rules()) == sorted(get_args(ContourConvention))
    assert all(rule.tag and len(rule.source) > 20 for rule in contour_rules().values())


@pytest.mark.parametrize(
    ("convention", "in_bone", "expected"),
    [("suv3", False, 3.0), ("suv4", True, 4.0), ("pct41", False, 8.2), ("pct50", True, 10.0), ("manual", False, None)],
)
def test_thresholds(convention, in_bone, expected):
    assert threshold_suv(convention, 20.0, in_bone=in_bone) == expected


def test_the_liver_rule_by_hand():
    assert threshold_suv("liver", 20.0, 5.0, 1.0) == pytest.approx(4.3 / 5.0 * 6.0)
    assert threshold_suv("liver", 20.0, 5.0, 1.0, in_bone=True) == 3.0
    assert threshold_suv("liver", 20.0) is None
    assert threshold_suv("liver", 20.0, 0.0, 0.0) is None


@pytest.mark.parametrize("convention", ["suv3", "suv4", "pct41", "pct45", "pct50"])
def test_the_outline_is_where_the_profile_crosses_the_threshold(ball, make_patient, convention):
    """Logistic edge: SUV(r) = b + (a - b) / (1 + exp((r - R) / w)), so the threshold t is crossed at a known radius."""
    patient = make_patient([ball((0, 0, 0), 14, 12.0)], spacing_mm=(2, 2, 2), edge_mm=2.0)
    (found,) = find_candidates(patient.study, patient.prediction, CandidateOptions(contour=convention))
    threshold = threshold_suv(convention, found.focus.suvmax)
    radius = 14 + 2.0 * np.log((12.0 - 0.5) / (threshold - 0.5) - 1)
    expected = 4 / 3 * np.pi * radius**3
    assert found.outline.sum() * 8.0 == pytest.approx(expected, rel=0.05)


def test_a_focus_below_a_fixed_threshold_has_no_extent_but_is_painted(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 10, 2.4)])
    candidates = find_candidates(patient.study, patient.prediction, CandidateOptions(contour="suv3"))
    assert not candidates[0].outline.any()
    assert not segment(candidates, patient.study).any()
    assert (paint(candidates, patient.study) == 1).any()
