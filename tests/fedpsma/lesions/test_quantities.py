from __future__ import annotations

import csv

import numpy as np
import pytest

from fedpsma.domain.study import Study
from fedpsma.io.nifti import read_volume
from fedpsma.lesions.geometry import bounding_box
from fedpsma.lesions.quantities import (
    PEAK_RADIUS_MM,
    Quantities,
    largest_diameter,
    measure,
    short_axis,
    sphere_weights,
    suv_peak,
    total,
)

GRIDS = [(4.0, 4.0, 4.0), (3.39, 3.39, 2.025), (4.073, 4.073, 5.0), (1.65, 1.65, 1.65)]


@pytest.fixture(scope="module")
def phantom(shared):
    """The IBSI digital phantom: SUV, mask and the published (value, tolerance) by feature tag."""
    folder = shared / "data/ibsi_phantoms"
    image = read_volume(folder / "ibsi_1_digital_phantom_nifti_image_phantom.nii.gz")
    mask = read_volume(folder / "ibsi_1_digital_phantom_nifti_mask_mask.nii.gz").data > 0
    with (folder / "ibsi_1_dig_phantom.csv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter=";"))
    known = {row["tag"]: (float(row["reference value"]), float(row["tolerance"])) for row in rows if row["tolerance"]}
    return Study("ibsi", "ibsi", image.data, image.affine), mask, known


@pytest.mark.shared
def test_ibsi_reference_values(phantom):
    study, mask, known = phantom
    box = bounding_box(mask)
    found = measure(study, mask[box], box, 0.0)
    assert found.suvmax == known["stat_max"][0]
    assert found.suvmean == pytest.approx(known["stat_mean"][0], abs=0.005)
    assert found.volume_ml * 1000 == pytest.approx(known["morph_vol_approx"][0], abs=known["morph_vol_approx"][1])
    assert found.longest_mm == pytest.approx(known["morph_diam"][0], abs=known["morph_diam"][1])
    assert found.tlu * 1000 == pytest.approx(2.1486487 * 592, rel=1e-6)


@pytest.mark.shared
def test_ibsi_peak_with_the_whole_voxels_that_ibsi_counts(phantom):
    study, mask, known = phantom
    grid = np.linalg.norm(np.indices((7, 7, 7)).transpose(1, 2, 3, 0) - 3, axis=-1) * 2.0
    weights = (grid <= 6.2).astype(float)
    box = bounding_box(mask)
    assert suv_peak(study.pet, mask[box], box, weights) == pytest.approx(known["loc_peak_glob"][0], abs=0.005)
    hottest = mask & (study.pet == study.pet[mask].max())
    at = bounding_box(hottest)
    assert suv_peak(study.pet, hottest[at], at, weights) == pytest.approx(known["loc_peak_loc"][0], abs=0.005)


@pytest.mark.parametrize("spacing", GRIDS)
def test_the_sphere_holds_one_ml_on_every_grid(spacing):
    weights = sphere_weights(*spacing)
    voxel_ml = np.prod(spacing) / 1000
    assert weights.sum() == pytest.approx(1.0)
    # the middle voxel lies wholly inside, so its weight tells the volume that the shares add up to
    assert voxel_ml / weights.max() == pytest.approx(1.0, rel=0.01)
    assert np.allclose(weights, weights[::-1, ::-1, ::-1])


@pytest.mark.parametrize("spacing", GRIDS)
def test_peak_of_a_ball_follows_its_profile(spacing):
    """SUV = 20 - r^2 / 20 has mean 20 - 3/5 R^2 / 20 over a sphere of radius R round its top."""
    shape = tuple(int(60 / step) | 1 for step in spacing)
    axes = [(np.arange(count) - count // 2) * step for count, step in zip(shape, spacing, strict=True)]
    distance = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
    pet = (20.0 - distance**2 / 20).astype(np.float32)
    mask = distance <= 8.0
    box = bounding_box(mask)
    expected = 20.0 - 0.6 * PEAK_RADIUS_MM**2 / 20
    assert suv_peak(pet, mask[box], box, sphere_weights(*spacing)) == pytest.approx(expected, rel=0.015)


def test_the_peak_may_use_voxels_outside_the_lesion_but_not_centre_there():
    pet = np.ones((21, 21, 21), dtype=np.float32)
    pet[14:, :, :] = 9.0
    mask = np.zeros(pet.shape, dtype=bool)
    mask[12, 10, 10] = True
    box = bounding_box(mask)
    peak = suv_peak(pet, mask[box], box, sphere_weights(2.0, 2.0, 2.0))
    assert 1.0 < peak < 9.0, "the hot neighbour lies in the sphere, the centre does not move into it"


def test_a_uniform_image_has_that_peak_even_at_its_edge():
    pet = np.full((5, 5, 5), 3.0, dtype=np.float32)
    mask = np.ones(pet.shape, dtype=bool)
    assert suv_peak(pet, mask, bounding_box(mask), sphere_weights(4.0, 4.0, 4.0)) == pytest.approx(3.0)


def test_a_single_voxel_measures_its_longest_edge():
    assert largest_diameter(np.ones((1, 1, 1), dtype=bool), np.diag([4.0, 3.0, 2.0, 1.0])) == pytest.approx(4.0)


def test_axes_of_an_ellipsoid():
    grid = np.moveaxis(np.indices((41, 41, 41)) - 20.0, 0, -1)
    mask = np.linalg.norm(grid / (18.0, 8.0, 5.0), axis=-1) <= 1
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    assert largest_diameter(mask, affine) == pytest.approx(36.0, abs=1.1)
    assert short_axis(mask, affine) == pytest.approx(16.0, abs=1.1)


def test_turning_the_grid_changes_no_length():
    mask = np.random.default_rng(1).random((6, 7, 5)) < 0.4
    angle = np.radians(20)
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    straight = np.diag([3.0, 4.0, 2.0, 1.0])
    assert largest_diameter(mask, turned @ straight) == pytest.approx(largest_diameter(mask, straight))
    assert short_axis(mask, turned @ straight) == pytest.approx(short_axis(mask, straight))


def test_patient_sums_by_hand():
    found = total([Quantities(9, 8.0, volume_ml=4.0), Quantities(15, 12.0, volume_ml=6.0), Quantities(2.0)])
    assert (found.psma_tv_ml, found.tlu, found.suvmean) == (10.0, 104.0, 10.4)
    assert found.tlq == pytest.approx(4 / 8 + 6 / 12)
    assert total([]).suvmean is None


def test_what_has_no_extent_is_not_measured():
    study = Study("s", "p", np.ones((4, 4, 4), dtype=np.float32), np.eye(4))
    found = measure(study, np.zeros((2, 2, 2), dtype=bool), (slice(0, 2),) * 3, 2.4)
    assert found == Quantities(suvmax=2.4)
    assert found.tlu is None
    assert found.tlq is None
