from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from fedpsma.domain.contour import ContourConvention
from fedpsma.lesions.candidates import CandidateOptions, find_candidates, paint, segment
from fedpsma.lesions.contours import OrganUptake, contour_rule, suv_threshold
from fedpsma.lesions.policy import policy


def test_every_convention_has_exactly_one_rule():
    assert sorted(rule.convention for rule in policy().contours) == sorted(get_args(ContourConvention))


@pytest.mark.parametrize(
    ("convention", "in_bone", "expected"),
    [("suv3", False, 3.0), ("suv4", True, 4.0), ("pct41", False, 8.2), ("pct50", True, 10.0), ("manual", False, None)],
)
def test_thresholds(convention, in_bone, expected):
    assert suv_threshold(contour_rule(convention), 20.0, in_bone=in_bone, liver=None) == expected


def test_the_liver_rule_by_hand():
    liver = OrganUptake(mean=5.0, sd=1.0)
    assert suv_threshold(contour_rule("liver"), 20.0, in_bone=False, liver=liver) == pytest.approx(4.3 / 5.0 * 6.0)
    assert suv_threshold(contour_rule("liver"), 20.0, in_bone=True, liver=liver) == 3.0
    assert suv_threshold(contour_rule("liver"), 20.0, in_bone=False, liver=None) is None


@pytest.mark.parametrize("convention", ["suv3", "suv4", "pct41", "pct45", "pct50"])
def test_the_outline_is_where_the_profile_crosses_the_threshold(ball, make_patient, convention):
    """Logistic edge: SUV(r) = b + (a - b) / (1 + exp((r - R) / w)), so the threshold t is crossed at a known radius."""
    patient = make_patient([ball((0, 0, 0), 14, 12.0)], spacing_mm=(2, 2, 2), edge_mm=2.0)
    (found,) = find_candidates(patient.study, patient.prediction, CandidateOptions(contour=convention))
    threshold = suv_threshold(contour_rule(convention), found.focus.suvmax, in_bone=False, liver=None)
    radius = 14 + 2.0 * np.log((12.0 - 0.5) / (threshold - 0.5) - 1)
    expected = 4 / 3 * np.pi * radius**3
    assert found.outline.sum() * 8.0 == pytest.approx(expected, rel=0.05)


def test_the_networks_own_outline(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 10, 12.0)], spacing_mm=(2, 2, 2))
    (found,) = find_candidates(patient.study, patient.prediction, CandidateOptions(contour="manual"))
    mine = patient.prediction.suspicious >= 0.5
    assert np.array_equal(segment([found], patient.study), mine)


def test_a_focus_below_a_fixed_threshold_has_no_extent_but_is_painted(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 10, 2.4)])
    candidates = find_candidates(patient.study, patient.prediction, CandidateOptions(contour="suv3"))
    assert not candidates[0].outline.any()
    assert not segment(candidates, patient.study).any()
    assert (paint(candidates, patient.study) == 1).any()
