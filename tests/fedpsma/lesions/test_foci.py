from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.lesions.foci import FocusOptions, find_foci, find_maxima


def test_two_touching_balls_are_two_foci_with_their_own_maxima(ball, make_patient):
    patient = make_patient([ball((-10, 0, 0), 8, 10.0), ball((10, 0, 0), 8, 20.0)], spacing_mm=(2, 2, 2), edge_mm=2.0)
    foci = sorted(find_foci(patient.study, patient.prediction), key=lambda focus: focus.suvmax)
    assert [focus.suvmax for focus in foci] == pytest.approx([10, 20], rel=0.05)
    both = np.zeros(patient.study.pet.shape, dtype=int)
    for focus in foci:
        both[focus.box] += focus.basin
    assert both.max() == 1, "basins must not share voxels"


def test_a_dip_shallower_than_the_drop_does_not_part_a_lesion(ball, make_patient):
    patient = make_patient([ball((-6, 0, 0), 8, 10.0), ball((6, 0, 0), 8, 10.0)], spacing_mm=(2, 2, 2), edge_mm=2.0)
    assert len(find_foci(patient.study, patient.prediction)) == 1


@pytest.mark.parametrize(("dip", "expected"), [(0.85, 1), (0.75, 2)])
def test_the_drop_is_a_fraction_of_the_lower_peak(dip, expected):
    line = np.full((9, 3, 3), 0.3, dtype=np.float32)
    line[1:8, 1, 1] = [5.0, 10.0, 9.0, 8.0 * dip, 8.0, 6.0, 4.0]
    found = find_foci(*_of(line, line > 1), FocusOptions(saddle_drop=0.2, smoothing_mm=0.0))
    assert len(found) == expected


def test_what_the_network_does_not_suspect_is_no_focus(ball, make_patient):
    kidney = ball((60, 0, 0), 20, 40.0, probability=0.05)
    patient = make_patient([ball((-60, 0, 0), 8, 8.0), kidney])
    assert [round(focus.suvmax) for focus in find_foci(patient.study, patient.prediction)] == [8]


def test_a_lesion_on_the_slope_of_the_bladder_keeps_its_own_maximum(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 30, 60.0, probability=0.0)], spacing_mm=(2, 2, 2), edge_mm=4.0)
    suspicious = np.zeros_like(patient.study.pet)
    centre = np.array(patient.study.pet.shape) // 2
    suspicious[centre[0] + 18 : centre[0] + 21, centre[1], centre[2]] = 0.9
    prediction = VoxelPrediction(suspicious, np.zeros_like(suspicious), patient.prediction.anatomy)
    (focus,) = find_foci(patient.study, prediction)
    assert focus.suvmax == pytest.approx(patient.study.pet[suspicious > 0].max())
    assert focus.basin.sum() == 3


def test_an_empty_prediction_gives_no_focus(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 8, 8.0, probability=0.04)])
    assert find_foci(patient.study, patient.prediction) == ()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.5, 4.0]))
def test_foci_part_the_suspected_voxels_and_scale_with_the_suv(seed, scale):
    rng = np.random.default_rng(seed)
    pet = rng.gamma(2.0, 2.0, size=(9, 8, 7)).astype(np.float32) + 2.0
    suspected = rng.random(pet.shape) < 0.2
    foci = find_foci(*_of(pet, suspected))
    count = np.zeros(pet.shape, dtype=int)
    for focus in foci:
        count[focus.box] += focus.basin
        assert focus.suvmax == pet[focus.peak] == pet[focus.box][focus.basin].max()
    assert count.max(initial=0) <= 1
    scaled = find_foci(*_of(pet * np.float32(scale), suspected), FocusOptions(floor_suv=0.45 * scale))
    assert [focus.peak for focus in scaled] == [focus.peak for focus in foci]


def _of(pet, suspected):
    study = Study("s", "p", pet, np.diag([4.0, 4.0, 4.0, 1.0]))
    suspicious = suspected.astype(np.float32)
    return study, VoxelPrediction(suspicious, 1 - suspicious, np.zeros(pet.shape, dtype=np.uint8))


def test_a_lesion_that_melts_into_the_bladder_is_measured_on_what_the_network_suspects(ball, make_patient):
    """Bed recurrence beside a hot bladder: the basin's top is urine, so the lesion has its own voxels alone."""
    bladder = ball((0, 0, 0), 24, 60.0, probability=0.0)
    patient = make_patient([bladder, ball((0, -30, 0), 8, 20.0)], spacing_mm=(2, 2, 2), edge_mm=3.0)
    (focus,) = find_foci(patient.study, patient.prediction)
    suspected = patient.prediction.suspicious[focus.box][focus.basin]
    assert suspected.min() >= FocusOptions().slope_from
    assert focus.suvmax < 55.0


def test_two_lesions_on_one_slope_stay_two(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 30, 60.0, probability=0.0)], spacing_mm=(2, 2, 2), edge_mm=5.0)
    suspicious = np.zeros_like(patient.study.pet)
    x, y, z = np.array(patient.study.pet.shape) // 2
    suspicious[x + 18, y - 2 : y + 3, z + 6] = suspicious[x + 18, y - 2 : y + 3, z - 6] = 0.9
    prediction = VoxelPrediction(suspicious, np.zeros_like(suspicious), patient.prediction.anatomy)
    assert [int(focus.basin.sum()) for focus in find_foci(patient.study, prediction)] == [5, 5]


def test_prominence_tells_how_far_a_focus_stands_out_from_its_hotter_neighbour():
    line = np.full((9, 3, 3), 0.3, dtype=np.float32)
    line[1:8, 1, 1] = [5.0, 10.0, 9.0, 6.0, 8.0, 7.0, 4.0]
    hot, less = find_foci(*_of(line, line > 1), FocusOptions(smoothing_mm=0.0))
    assert (hot.suvmax, hot.prominence) == (10.0, None)
    assert (less.suvmax, less.prominence) == (8.0, pytest.approx(0.25))


def test_a_part_of_a_slope_stands_out_from_nothing(ball, make_patient):
    bladder = ball((0, 0, 0), 24, 60.0, probability=0.0)
    patient = make_patient([bladder, ball((0, -30, 0), 8, 20.0)], spacing_mm=(2, 2, 2), edge_mm=3.0)
    assert [focus.prominence for focus in find_foci(patient.study, patient.prediction)] == [0.0]


def test_where_everything_is_suspected_the_foci_are_the_maxima_of_the_scan():
    rng = np.random.default_rng(5)
    pet = rng.gamma(2.0, 1.5, size=(12, 11, 10)).astype(np.float32)
    study, prediction = _of(pet, np.ones(pet.shape, dtype=bool))
    foci, maxima = find_foci(study, prediction), find_maxima(study)
    assert len(foci) == len(maxima) > 1
    for one, other in zip(foci, maxima, strict=True):
        assert (one.peak, one.suvmax, one.prominence) == (other.peak, other.suvmax, other.prominence)
        assert np.array_equal(one.basin, other.basin)


def test_where_the_box_lies_does_not_change_a_focus(ball, make_patient):
    """A second, distant lesion makes the box that is looked at larger; smoothing must not notice."""
    near = [ball((-40, 0, 0), 7, 9.0), ball((-27, 0, 0), 5, 7.0)]
    alone = make_patient(near, spacing_mm=(3, 3, 3), edge_mm=2.0)
    both = make_patient([*near, ball((90, 60, 60), 7, 9.0)], spacing_mm=(3, 3, 3), edge_mm=2.0)
    few = find_foci(alone.study, alone.prediction)
    many = {focus.peak: focus for focus in find_foci(both.study, both.prediction)}
    assert few
    for focus in few:
        assert many[focus.peak].prominence == focus.prominence
        assert np.array_equal(many[focus.peak].basin, focus.basin)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 3, 3), (20, 18, 1), (1, 1, 40)])
def test_tiny_fields_of_view(shape):
    pet = np.full(shape, 0.5, dtype=np.float32)
    pet[tuple(size // 2 for size in shape)] = 9.0
    (focus,) = find_foci(*_of(pet, pet > 5))
    assert (focus.suvmax, focus.peak) == (9.0, tuple(size // 2 for size in shape))
    study, _ = _of(pet, pet > 5)
    assert [one.peak for one in find_maxima(study)] == [focus.peak]


def test_300_lesions_are_found_one_by_one_and_soon():
    pet = np.full((80, 60, 120), 0.6, dtype=np.float32)
    corners = np.argwhere(np.ones((7, 5, 10), dtype=bool))[:300] * (11, 11, 11) + 5
    for number, corner in enumerate(corners):
        x, y, z = np.ogrid[-3:4, -3:4, -3:4]
        ball = np.float32(4 + number % 30) * np.exp(-(x**2 + y**2 + z**2) / 4).astype(np.float32)
        pet[tuple(slice(at - 3, at + 4) for at in corner)] += ball
    started = time.process_time()
    foci = find_foci(*_of(pet, pet > 2))
    assert time.process_time() - started < 3.0
    assert [focus.peak for focus in sorted(foci, key=lambda focus: focus.peak)] == sorted(map(tuple, corners.tolist()))
