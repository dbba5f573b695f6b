from __future__ import annotations

import pytest

from fedpsma.domain.exam import ReferenceSuv
from fedpsma.lesions.references import measure_references


def organ(ball, name, at, radius, suv):
    return ball(at, radius, suv, probability=0.0, anatomy=name)


def test_each_organ_gives_its_own_uptake(ball, make_patient):
    patient = make_patient(
        [
            organ(ball, "liver", (50, 0, 0), 40, 5.0),
            organ(ball, "spleen", (-70, 0, 0), 20, 8.0),
            organ(ball, "blood_pool", (-10, 60, 60), 22, 1.6),
            organ(ball, "parotid", (40, 0, 100), 13, 15.0),
            organ(ball, "parotid", (-40, 0, 100), 13, 11.0),
        ],
        edge_mm=0.1,
    )
    found = measure_references(patient.study, patient.prediction)
    assert found.liver.mean == pytest.approx(5.0, rel=0.01)
    assert found.spleen.mean == pytest.approx(8.0, rel=0.02)
    assert found.blood_pool.mean == pytest.approx(1.6, rel=0.02)
    assert found.parotid.mean == pytest.approx(13.0, rel=0.05), "the mean of both glands"


def test_absent_and_small_organs_stay_unknown(ball, make_patient):
    patient = make_patient([organ(ball, "liver", (50, 0, 0), 12, 5.0), organ(ball, "parotid", (40, 0, 90), 4, 15.0)])
    assert measure_references(patient.study, patient.prediction).as_suv() == ReferenceSuv()


def test_a_metastasis_in_the_liver_is_kept_out(ball, make_patient):
    liver = organ(ball, "liver", (30, 0, 0), 60, 5.0)
    metastasis = ball((50, 0, 0), 15, 40.0, anatomy="liver")
    patient = make_patient([liver, metastasis])
    assert measure_references(patient.study, patient.prediction).liver.mean == pytest.approx(5.0, rel=0.02)


def test_the_sphere_lies_in_the_right_lobe(ball, make_patient):
    right, left = organ(ball, "liver", (60, 0, 0), 30, 6.0), organ(ball, "liver", (-30, 0, 0), 40, 4.0)
    patient = make_patient([right, left])
    assert measure_references(patient.study, patient.prediction).liver.mean == pytest.approx(6.0, rel=0.02)
