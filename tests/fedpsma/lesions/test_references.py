from __future__ import annotations

import numpy as np
import pytest

from fedpsma.domain.exam import ReferenceSuv
from fedpsma.lesions.contours import OrganUptake
from fedpsma.lesions.references import References, UptakeRatios, measure_references


def organ(ball, name, at, radius, suv):
    return ball(at, radius, suv, probability=0.0, anatomy=name)


def test_each_organ_gives_its_own_uptake(ball, make_patient):
    patient = make_patient(
        [
            organ(ball, "liver", (50, 0, 0), 40, 5.0),
            organ(ball, "spleen", (-70, 0, 0), 20, 8.0),
            organ(ball, "thoracic_spine", (0, -60, 60), 22, 1.0),
            *[organ(ball, "blood_pool", (-10, -20, height), 15, 1.6) for height in range(35, 90, 5)],
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
    right, left = organ(ball, "liver", (40, 0, 0), 40, 6.0), organ(ball, "liver", (-25, 0, 0), 30, 4.5)
    patient = make_patient([right, left])
    assert measure_references(patient.study, patient.prediction).liver.mean == pytest.approx(6.0, rel=0.02)


def test_single_wrong_voxels_of_the_map_do_not_hide_an_organ(ball, make_patient):
    patient = make_patient([organ(ball, "liver", (30, 0, 0), 50, 5.0), organ(ball, "spleen", (-70, 0, 0), 25, 8.0)])
    rng = np.random.default_rng(5)
    wrong = rng.random(patient.study.pet.shape) < 0.08
    patient.prediction.anatomy[wrong] = rng.integers(1, 42, int(wrong.sum()), dtype=np.uint8)
    found = measure_references(patient.study, patient.prediction)
    assert found.liver.mean == pytest.approx(5.0, rel=0.02)
    assert found.spleen.mean == pytest.approx(8.0, rel=0.02)


def test_what_the_map_takes_for_spleen_by_mistake_is_not_measured(ball, make_patient):
    """A larger piece of lung (SUV 0.5) hangs on to the spleen in the map, deeper than the spleen itself."""
    lung, spleen = organ(ball, "spleen", (-60, 0, 40), 22, 0.5), organ(ball, "spleen", (-60, 0, 0), 25, 8.0)
    patient = make_patient([lung, spleen])
    assert measure_references(patient.study, patient.prediction).spleen.mean == pytest.approx(8.0, rel=0.05)


def test_a_hot_voxel_does_not_set_the_contour_of_a_gland(ball, make_patient):
    patient = make_patient([organ(ball, "parotid", (40, 0, 0), 14, 10.0)])
    calm = measure_references(patient.study, patient.prediction).parotid.mean
    x, y, z = (int(at) for at in np.argwhere(patient.study.pet == patient.study.pet.max())[0])
    patient.study.pet[x, y, z] = 25.0
    assert measure_references(patient.study, patient.prediction).parotid.mean == pytest.approx(calm, rel=0.12)


def test_ratios_to_the_organs_that_were_measured():
    found = References(liver=OrganUptake(5.0, 0.5), blood_pool=OrganUptake(2.0, 0.2)).ratios(10.0)
    assert found == UptakeRatios(liver=2.0, blood_pool=5.0)
    assert References().ratios(10.0) == UptakeRatios()
