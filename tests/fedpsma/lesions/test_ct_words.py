"""What CT shows at a focus, on made-up patients whose CT is known, and read back by the reader of reports."""

from __future__ import annotations

import numpy as np
import pytest

from fedpsma.domain.region import Region
from fedpsma.lesions.candidates import find_candidates
from fedpsma.lesions.ct_correlate import ct_correlate
from fedpsma.lesions.policy import policy
from fedpsma.staging.options import StagingOptions
from fedpsma.text.ct_correlate import read_ct_correlate

FINE_MM = (2.0, 2.0, 2.0)


@pytest.fixture
def describe(ball, make_patient):
    """Return a function that makes a patient of balls, the last of them hot, and describes the CT there."""

    def run(balls, spacing_mm=FINE_MM, with_ct=True, size_mm=(120.0, 120.0, 120.0)):
        patient = make_patient([ball(*one, **more) for one, more in balls], spacing_mm, size_mm, with_ct=with_ct)
        (found,) = find_candidates(patient.study, patient.prediction)
        return found.region, ct_correlate(found.focus, found.region, patient.study, patient.prediction)

    return run


def focus(anatomy, hu, radius=7.0, at=(0, 0, 0)):
    return ((at, radius, 9.0), {"anatomy": anatomy, "hu": hu})


def tissue(anatomy, hu, radius=30.0, at=(0, 0, 0)):
    return ((at, radius, 0.5), {"anatomy": anatomy, "hu": hu, "probability": 0.0})


@pytest.mark.parametrize(
    ("hu", "around_hu", "words", "read"),
    [
        (600.0, 220.0, "sclerotic", "suspicious"),
        (50.0, 220.0, "lytic", "suspicious"),
        (220.0, 220.0, "no sclerosis or lysis", "none"),
        (380.0, 330.0, "sclerotic", "suspicious"),
        (450.0, 480.0, "no sclerosis or lysis", "none"),
        (110.0, 90.0, "no sclerosis or lysis", "none"),
        (300.0, 150.0, "no sclerosis or lysis", "none"),
    ],
)
def test_bone_is_judged_against_the_bone_around_it(describe, hu, around_hu, words, read):
    region, found = describe([tissue("sacrum", around_hu), focus("sacrum", hu)])
    assert region is Region.BONE_SACRUM
    assert words in found.text
    assert read_ct_correlate(found.text, region).ct_class == read
    assert found.ct_class in (None, read)


def test_a_thin_rib_with_its_dense_cortex_is_not_sclerotic(ball, make_patient):
    """Every voxel of a thin rib holds cortex: 560 HU is usual there, though above any fixed limit."""
    ribs = [ball((x, 0, 0), 6, 0.5, probability=0.0, anatomy="rib", hu=560.0) for x in range(-40, 41, 5)]
    hot = ball((0, 0, 0), 5, 9.0, anatomy="rib", hu=555.0)
    patient = make_patient([*ribs, hot], FINE_MM, (140.0, 60.0, 60.0), with_ct=True)
    (found,) = find_candidates(patient.study, patient.prediction)
    assert ct_correlate(found.focus, found.region, patient.study, patient.prediction).ct_class == "none"


def test_a_rib_that_breathing_moved_off_its_focus_is_still_found(describe):
    """The PET is hot 6 mm above the rib that the CT shows."""
    rib = [tissue("rib", 250.0, 5.0, (x, 0, -6)) for x in range(-40, 41, 5) if abs(x) > 8]
    dense = tissue("rib", 700.0, 6.0, (0, 0, -6))
    _, found = describe([*rib, dense, ((((0, 0, 0), 5.0, 9.0)), {"anatomy": "lung"})])
    assert found is not None
    region, found = describe([*rib, dense, ((((0, 0, -1), 5.0, 9.0)), {})])
    assert region is Region.BONE_RIB
    assert "sclerotic" in found.text


@pytest.mark.parametrize(
    ("anatomy", "radius", "words", "ct_class"),
    [
        ("obturator", 3.5, "small lymph node", "nonspecific"),
        ("obturator", 5.0, "enlarged lymph node", "suspicious"),
        ("axillary", 4.5, "small lymph node", "nonspecific"),
        ("axillary", 7.0, "enlarged lymph node", "suspicious"),
    ],
)
def test_a_node_in_fat_is_measured_on_ct(describe, anatomy, radius, words, ct_class):
    region, found = describe([tissue(anatomy, -100.0, 15.0), focus(anatomy, 60.0, radius)])
    assert found.short_axis_mm == pytest.approx(2 * radius, abs=2.0)
    assert words in found.text
    assert found.ct_class == read_ct_correlate(found.text, region).ct_class == ct_class


def test_the_coarse_grid_of_the_pet_does_not_decide_the_short_axis(describe):
    _, found = describe([focus("obturator", 60.0, 8.0)], spacing_mm=(4.0, 4.0, 4.0))
    assert found.short_axis_mm == pytest.approx(16.0, abs=3.0)


def test_an_oval_node_has_its_short_axis(describe):
    long = [tissue("obturator", 60.0, 5.0, (x, 0, 0)) for x in (-9, -6, -3, 3, 6, 9)]
    _, found = describe([*long, focus("obturator", 60.0, 5.0)])
    assert found.short_axis_mm == pytest.approx(10.0, abs=2.0)


def test_a_node_within_muscle_is_not_given_a_size(describe):
    region, found = describe([tissue(None, 50.0, 40.0), focus("obturator", 60.0)])
    assert found.short_axis_mm is None
    assert "not delimited" in found.text
    assert found.ct_class is None
    assert read_ct_correlate(found.text, region).ct_class is None


def test_no_node_where_ct_shows_fat(describe):
    region, found = describe([focus("obturator", -95.0)])
    assert found.ct_class == read_ct_correlate(found.text, region).ct_class == "none"


def test_enlarged_means_the_same_here_as_in_the_rules():
    limits = StagingOptions()
    assert policy().node.enlarged_pelvis_mm == limits.node_short_axis_pelvis_mm
    assert policy().node.enlarged_elsewhere_mm == limits.node_short_axis_elsewhere_mm


def test_a_nodule_in_the_lung_has_its_diameter(describe):
    region, found = describe([tissue("lung", -850.0, 50.0), focus("lung", 40.0, 7.0)])
    assert "nodule" in found.text
    assert float(found.text.split()[-2]) == pytest.approx(14.0, abs=2.5)
    assert read_ct_correlate(found.text, region).ct_class == "suspicious"


def test_lung_without_a_nodule(describe):
    region, found = describe([tissue("lung", -850.0, 50.0), focus("lung", -850.0)])
    assert found.ct_class == read_ct_correlate(found.text, region).ct_class == "none"


def test_the_liver_tells_only_a_clear_contrast(describe):
    region, found = describe([tissue("liver", 105.0, 45.0), focus("liver", 60.0)])
    assert "hypodense" in found.text
    assert read_ct_correlate(found.text, region).ct_class == "suspicious"
    assert describe([tissue("liver", 60.0, 45.0), focus("liver", 55.0)])[1] is None


def test_nothing_is_said_where_ct_tells_nothing(describe):
    assert describe([focus("rib", -700.0)])[1] is None
    assert describe([focus("rib", 500.0)], with_ct=False)[1] is None
    assert describe([focus("prostate", 40.0)])[1] is None


def test_the_ct_beyond_the_edge_of_the_image_is_not_needed(describe):
    edge = 120.0 / 2 - 3.0
    _, found = describe([focus("obturator", 60.0, 5.0, (0, 0, edge))])
    assert found.short_axis_mm is None or np.isfinite(found.short_axis_mm)


@pytest.mark.parametrize("anatomy", ["inguinal", "rib", "lung", "liver"])
def test_where_the_ct_did_not_reach_nothing_is_said_of_it(describe, anatomy):
    assert describe([focus(anatomy, -1024.0)])[1] is None
