from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fedpsma.domain.study import Study
from fedpsma.lesions.classical import classical_candidates
from fedpsma.lesions.contours import OrganUptake
from fedpsma.lesions.foci import FocusOptions
from fedpsma.lesions.geometry import FACES_AND_EDGES

SHARP = FocusOptions(smoothing_mm=0.0)


def study_of(pet):
    return Study("s", "p", np.asarray(pet, dtype=np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))


def two_gaussians(distance, ratio=1.0, sigma=3.0):
    """Two Gaussians along x with centres on voxels, ``distance`` voxels apart, SUV 10 and ``ratio`` times that."""
    x, y, z = np.ogrid[: 40 + distance, :31, :31]
    square = (y - 15) ** 2 + (z - 15) ** 2
    bump = [np.exp(-((x - at) ** 2 + square) / (2 * sigma**2)) for at in (20, 20 + distance)]
    return 10 * bump[0] + 10 * ratio * bump[1]


@pytest.mark.parametrize("distance", range(4, 15, 2))
def test_touching_gaussians_are_parted_exactly_when_they_drop_far_enough_between_them(distance):
    """By formula, in units of the single peak: saddle 2 exp(-d^2 / 8 s^2), peak 1 + exp(-d^2 / 2 s^2)."""
    saddle, peak = 2 * np.exp(-(distance**2) / (8 * 3.0**2)), 1 + np.exp(-(distance**2) / (2 * 3.0**2))
    deepest = max(1 - saddle / peak, 0.0)
    pet = two_gaussians(distance, ratio=1.000001)
    for drop in (0.1, 0.2, 0.4):
        found = classical_candidates(study_of(pet), "pct45", FocusOptions(saddle_drop=drop, smoothing_mm=0.0))
        assert len(found) == (2 if deepest > drop else 1), (distance, drop, deepest)
        assert found[0].focus.prominence is None
        if len(found) == 2:
            assert found[1].focus.prominence == pytest.approx(deepest, rel=1e-4)


def test_outlines_of_touching_lesions_do_not_overlap_and_meet_at_the_saddle():
    # the saddle is at about 62 % of the hotter peak: one region for a threshold of 45 %, two for the basins
    pet = two_gaussians(9, ratio=1.1)
    hot, less = classical_candidates(study_of(pet), "pct45", SHARP)
    whole = ndimage.label(pet >= 0.45 * pet.max(), structure=FACES_AND_EDGES)[1]
    assert whole == 1
    painted = np.zeros(pet.shape, dtype=int)
    for one in (hot, less):
        painted[one.focus.box] += one.outline
    assert painted.max() == 1
    low = np.argmin(pet[20:30, 15, 15]) + 20
    assert less.outline.any(axis=(1, 2)).nonzero()[0].max() + less.focus.box[0].start in (low - 1, low)


@pytest.mark.parametrize("convention", ["suv3", "suv4", "pct41", "pct45", "pct50", "liver"])
def test_every_convention_cuts_each_basin_at_its_own_threshold(convention):
    pet = two_gaussians(14, ratio=0.5)
    found = classical_candidates(
        study_of(pet), convention, SHARP, liver=OrganUptake(5.0, 0.5), bone=np.zeros(pet.shape, dtype=bool)
    )
    fixed = {"suv3": 3.0, "suv4": 4.0, "liver": 4.3 / 5.0 * 5.5}
    assert [round(one.focus.suvmax, 1) for one in found] == [10.0, 5.0]
    for one in found:
        fraction = {"pct41": 0.41, "pct45": 0.45, "pct50": 0.5}.get(convention, 0.0)
        threshold = fixed.get(convention, fraction * one.focus.suvmax)
        basin = one.focus.basin & (pet[one.focus.box] >= threshold)
        assert one.outline.sum() == basin.sum() > 0


def test_what_lies_below_a_fixed_threshold_is_no_candidate():
    pet = two_gaussians(14, ratio=0.25)
    assert len(classical_candidates(study_of(pet), "pct45", SHARP)) == 2
    assert len(classical_candidates(study_of(pet), "suv3", SHARP)) == 1


def test_by_the_liver_bone_has_its_own_threshold_and_no_liver_leaves_bone_alone():
    pet = two_gaussians(14, ratio=0.5)
    bone = np.zeros(pet.shape, dtype=bool)
    bone[30:] = True
    soft, hard = classical_candidates(study_of(pet), "liver", SHARP, liver=OrganUptake(5.0, 1.0), bone=bone)
    assert soft.outline.sum() == (pet[soft.focus.box][soft.focus.basin] >= 4.3 / 5.0 * 6.0).sum()
    assert hard.outline.sum() == (pet[hard.focus.box][hard.focus.basin] >= 3.0).sum()
    (alone,) = classical_candidates(study_of(pet), "liver", SHARP, bone=bone)
    assert alone.focus.peak == hard.focus.peak
    assert classical_candidates(study_of(pet), "liver", SHARP) == ()


def test_a_readers_outline_has_no_threshold():
    with pytest.raises(ValueError, match="manual"):
        classical_candidates(study_of(np.ones((4, 4, 4))), "manual")


@pytest.mark.parametrize(
    "pet",
    [np.zeros((8, 8, 8)), np.full((8, 8, 8), 0.9), np.full((5, 5, 5), -1.0), np.zeros((1, 1, 1)), np.zeros((6, 6, 1))],
)
def test_a_scan_without_anything_hot_has_no_candidate(pet):
    assert classical_candidates(study_of(pet)) == ()


def test_a_plateau_is_one_candidate_and_all_of_it_is_outlined():
    pet = np.full((12, 12, 12), 0.5)
    pet[3:9, 4:8, 2:10] = 7.0
    (found,) = classical_candidates(study_of(pet))
    assert np.array_equal(found.outline, pet[found.focus.box] == 7.0)


@pytest.mark.parametrize("shape", [(3, 3, 3), (16, 15, 1), (1, 1, 9)])
def test_a_tiny_field_of_view_and_negative_voxels(shape):
    pet = np.full(shape, -0.2)
    middle = tuple(size // 2 for size in shape)
    pet[middle] = 12.0
    (found,) = classical_candidates(study_of(pet), "suv4")
    assert found.focus.peak == middle
    assert found.outline.sum() == 1


def test_candidates_come_hottest_first_and_equal_input_gives_equal_ones():
    pet = np.random.default_rng(1).gamma(1.5, 2.0, (20, 18, 16))
    found, again = classical_candidates(study_of(pet)), classical_candidates(study_of(pet))
    heat = [one.focus.suvmax for one in found]
    assert heat == sorted(heat, reverse=True)
    assert [one.focus.peak for one in found] == [one.focus.peak for one in again]
    assert len(found) > 5
