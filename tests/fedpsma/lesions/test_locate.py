from __future__ import annotations

import pytest

from fedpsma.domain.region import Region
from fedpsma.lesions.candidates import CandidateOptions, find_candidates
from fedpsma.lesions.ct_correlate import ct_correlate
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


@pytest.mark.parametrize(
    ("anatomy", "hu", "words", "ct_class"),
    [
        ("sacrum", 600.0, "sclerotic", None),
        ("sacrum", 50.0, "lytic", None),
        ("sacrum", 220.0, "no sclerosis or lysis", "none"),
        ("obturator", 40.0, "short axis about 1", None),
        ("obturator", -90.0, "no soft-tissue node", "none"),
    ],
)
def test_ct_in_words(ball, make_patient, anatomy, hu, words, ct_class):
    patient = make_patient([ball((0, 0, 0), 8, 9.0, anatomy=anatomy, hu=hu)], spacing_mm=(2, 2, 2), with_ct=True)
    found = only(patient)
    correlate = ct_correlate(found.focus, found.region, patient.study)
    assert words in correlate.text
    assert correlate.ct_class == ct_class


def test_nothing_is_said_where_ct_tells_nothing(ball, make_patient):
    air = make_patient([ball((0, 0, 0), 8, 9.0, anatomy="rib", hu=-700.0)], with_ct=True)
    assert ct_correlate(only(air).focus, Region.BONE_RIB, air.study) is None
    no_ct = make_patient([ball((0, 0, 0), 8, 9.0, anatomy="rib")])
    assert ct_correlate(only(no_ct).focus, Region.BONE_RIB, no_ct.study) is None


def test_a_node_within_muscle_is_not_given_a_size(ball, make_patient):
    balls = [ball((0, 0, 0), 60, 0.5, probability=0.0, hu=40.0), ball((0, 0, 0), 8, 9.0, anatomy="obturator", hu=40.0)]
    patient = make_patient(balls, with_ct=True)
    found = only(patient)
    assert "not delimited" in ct_correlate(found.focus, found.region, patient.study).text


def test_every_policy_has_a_tag_and_a_source():
    rows = [policy().references, policy().sides, policy().votes, policy().ct]
    assert all(row.tag and len(row.source) > 20 for row in rows)
