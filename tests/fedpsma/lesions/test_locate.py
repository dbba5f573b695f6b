from __future__ import annotations

import pytest

from fedpsma.domain.region import Region
from fedpsma.lesions.candidates import CandidateOptions, find_candidates
from fedpsma.lesions.policy import policy


def only(patient, **options):
    (found,) = find_candidates(patient.study, patient.prediction, CandidateOptions(**options))
    return found


@pytest.mark.parametrize(
    ("anatomy", "region"),
    [("rib", Region.BONE_RIB), ("bladder", Region.PHYSIOLOGIC), ("obturator", Region.LN_OBTURATOR)],
)
def test_the_region_is_that_of_the_tissue_under_the_focus(ball, make_patient, anatomy, region):
    assert only(make_patient([ball((0, 0, 0), 8, 9.0, anatomy=anatomy)])).region is region


def test_a_thin_rib_wins_over_the_soft_tissue_round_it(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 9, 9.0), ball((0, 0, 0), 6.5, 9.0, anatomy="rib")], spacing_mm=(3, 3, 3))
    assert only(patient).region is Region.BONE_RIB


def test_the_edge_changes_neither_suspicion_nor_region(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 10, 9.0, probability=0.7, anatomy="sacrum")], edge_mm=0.3)
    found = {(only(patient, contour=name).suspicion, only(patient, contour=name).region) for name in ("suv3", "pct41")}
    assert len(found) == 1
    assert found.pop()[0] == pytest.approx(0.7, abs=0.07)


def test_most_suspicious_first(ball, make_patient):
    balls = [ball((-60, 0, 0), 8, 30.0, probability=0.4), ball((60, 0, 0), 8, 5.0, probability=0.9)]
    patient = make_patient(balls)
    found = find_candidates(patient.study, patient.prediction)
    assert [round(one.focus.suvmax) for one in found] == [5, 30]


def test_a_hole_in_the_map_takes_its_name_from_what_is_around_it(ball, make_patient):
    """The map calls the focus itself soft tissue, as a network does where a small node is hot."""
    station = ball((0, 0, 0), 14, 0.5, probability=0.0, anatomy="obturator")
    patient = make_patient([station, ball((0, 0, 0), 6, 9.0, anatomy="soft_tissue")])
    assert only(patient).region is Region.LN_OBTURATOR


def test_what_lies_far_from_a_focus_does_not_name_it(ball, make_patient):
    balls = [ball((0, 0, 0), 6, 9.0), ball((45, 0, 0), 25, 0.5, probability=0.0, anatomy="pelvic_bone")]
    assert only(make_patient(balls)).region is Region.OTHER_SOFT_TISSUE


def test_every_policy_has_a_tag_and_a_source():
    rows = [row for name, row in policy() if name != "note"]
    assert all(row.tag and len(row.source) > 20 for row in rows)
