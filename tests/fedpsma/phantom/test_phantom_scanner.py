from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.body import draw_body
from fedpsma.phantom.contours import threshold_suv
from fedpsma.phantom.grid import Grid
from fedpsma.phantom.lesions import Focus
from fedpsma.phantom.patient import draw_patient
from fedpsma.phantom.placement import PlacedFocus, shape_focus
from fedpsma.phantom.scanner import add_foci, draw_exposure, image_background, image_focus
from fedpsma.phantom.sites import site_profile
from fedpsma.phantom.tables import tissue_number, tissues


def sphere_in_muscle(diameter_mm: float, site: str, suv: float = 10.0) -> float:
    """Recovery coefficient (SUVmean in the sphere over the truth) of a hot sphere without background."""
    tissue = np.full((30, 30, 30), tissue_number("muscle"), dtype=np.uint8)
    classes = np.full(tissue.shape, anatomy_number("soft_tissue"), dtype=np.uint8)
    grid = Grid((30, 30, 30), (4.0, 4.0, 4.0), (-58.0, -58.0, -58.0))
    anatomy = Anatomy(tissue, classes, grid, draw_body(np.random.default_rng(0), "in_situ"))
    volume = np.pi / 6 * diameter_mm**3 / 1000
    focus = Focus(
        kind="lesion",
        suspicious=True,
        region=Region.OTHER_SOFT_TISSUE,
        target="soft_tissue",
        path=None,
        spread_mm=0,
        volume_ml=volume,
        ratios=(1, 1, 1),
        angles=(0, 0),
        suvmax=suv,
        hu=None,
        ct_class="none",
        ct_correlate=None,
        category_hint="4",
    )
    placed = PlacedFocus(focus, (0.0, 0.0, 0.0), anatomy_number("soft_tissue"), Region.OTHER_SOFT_TISSUE, "M")
    profile = site_profile(site)
    exposure = draw_exposure(np.random.default_rng(0), profile, Tracer.PSMA_1007)
    target = grid.with_spacing(profile.spacing_mm)
    activity = np.zeros(len(tissues()), dtype=np.float32)
    imaged = image_focus(shape_focus(placed, anatomy, exposure.margin_mm), anatomy, activity, exposure, target)
    ideal = add_foci(image_background(anatomy, activity, exposure, target), [imaged])
    x, y, z = target.axes
    inside = x[:, None, None] ** 2 + y[None, :, None] ** 2 + z**2 <= (diameter_mm / 2) ** 2
    return float(ideal[inside].mean() / suv)


def gaussian_recovery(diameter_mm: float, fwhm_mm: float) -> float:
    """Mean of a blurred unit sphere over the sphere, on a half millimetre grid."""
    axis = np.arange(-40, 40.5, 0.5)
    sphere = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2 <= (diameter_mm / 2) ** 2
    blurred = ndimage.gaussian_filter(sphere.astype(np.float32), fwhm_mm / 2.3548 / 0.5)
    return float(blurred[sphere].mean())


@pytest.mark.parametrize("site", ["B", "C", "E"])
@pytest.mark.parametrize("diameter_mm", [10, 17])
def test_spheres_recover_what_the_resolution_lets_them(site, diameter_mm):
    expected = gaussian_recovery(diameter_mm, site_profile(site).psf_mm)
    assert sphere_in_muscle(diameter_mm, site) == pytest.approx(expected, abs=0.06)


def test_resolution_modelling_overshoots_and_keeps_small_spheres():
    plain = gaussian_recovery(10, site_profile("A").psf_mm)
    assert plain < sphere_in_muscle(10, "A") < 0.7
    assert 0.85 < sphere_in_muscle(37, "A") <= 1.05


def test_liver_noise_meets_the_site(patients):
    for site, group in patients.items():
        target = site_profile(site).liver_cv
        found = [liver_cv(one) for one in group if not any(f.anatomy == "liver" for f in one.truth.foci)]
        assert np.mean(found) == pytest.approx(target, rel=0.20), site


def liver_cv(patient) -> float:
    """Coefficient of variation in a sphere of 25 mm radius in the right lobe."""
    study = patient.study
    index = np.argwhere(study.anatomy == anatomy_number("liver"))
    position = index * study.spacing_mm + study.affine[:3, 3]
    middle = position[position[:, 0] > 40].mean(axis=0)
    values = study.pet[tuple(index[np.linalg.norm(position - middle, axis=1) < 25].T)]
    return float(values.std() / values.mean())


def test_noise_is_correlated_as_its_kernel_says(patients):
    for site, group in patients.items():
        profile = site_profile(site)
        study, ideal = group[0].study, group[0].ideal
        liver = study.anatomy == anatomy_number("liver")
        noise = np.where(liver, study.pet - ideal, 0)
        pairs = liver[1:] & liver[:-1]
        found = (noise[1:] * noise[:-1])[pairs].mean() / noise[liver].var()
        sigma = profile.noise_fwhm_mm / 2.3548
        assert found == pytest.approx(np.exp(-(study.spacing_mm[0] ** 2) / (4 * sigma**2)), abs=0.06), site


def test_ct_densities(patients):
    for patient in (one for group in patients.values() for one in group):
        ct, anatomy = patient.study.ct, patient.study.anatomy
        assert np.median(ct[anatomy == anatomy_number("liver")]) == pytest.approx(105, abs=5)
        assert np.median(ct[anatomy == anatomy_number("lung")]) == pytest.approx(-840, abs=10)
        assert np.median(ct[anatomy == anatomy_number("femur")]) > 200
        assert ct.min() >= -1024


def test_a_site_without_ct_gives_none_and_fdg_lights_up_the_brain():
    group = [draw_patient("E", index, seed=1) for index in range(4)]
    assert all(one.study.ct is None for one in group)
    assert {one.study.tracer for one in group} == {Tracer.FDG, Tracer.PSMA_11}


def test_images_lie_on_the_grid_of_the_site(patients):
    for site, group in patients.items():
        for patient in group:
            assert patient.study.spacing_mm == pytest.approx(site_profile(site).spacing_mm)
            assert (np.diag(patient.study.affine)[:3] > 0).all()
            assert patient.study.pet.dtype == np.float32
            assert patient.study.pet.min() >= 0


def test_mask_follows_the_convention(patients):
    for patient in patients["B"]:
        assert (patient.ideal[patient.study.lesions > 0] >= 3.0).all()
    for patient in patients["C"]:
        for lesion in patient.truth.lesions:
            values = patient.ideal[patient.study.lesions == lesion.id]
            if lesion.contoured:
                assert values.min() >= 0.45 * values.max() * (1 - 1e-5)


def test_manual_mask_is_the_true_boundary(patients):
    large = [lesion for one in patients["A"] for lesion in one.truth.lesions if lesion.volume_ml > 1]
    assert large
    for lesion in large:
        assert lesion.mask_ml == pytest.approx(lesion.volume_ml, rel=0.2)


def test_mask_covers_all_of_a_hot_lesion(patients):
    """Nothing inside a lesion that reaches the threshold is left out, unless another lesion has it."""
    for patient in patients["B"]:
        for lesion in patient.truth.lesions:
            squares = [
                (start + step * np.arange(count) - centre) ** 2
                for start, step, count, centre in zip(
                    patient.study.affine[:3, 3],
                    patient.study.spacing_mm,
                    patient.study.pet.shape,
                    lesion.centre_mm,
                    strict=True,
                )
            ]
            radius = 0.4 * (3000 * lesion.volume_ml / (4 * np.pi)) ** (1 / 3)
            core = squares[0][:, None, None] + squares[1][None, :, None] + squares[2] < radius**2
            if lesion.contoured:
                assert (patient.study.lesions[core & (patient.ideal >= 3)] > 0).all()


def test_mask_numbers_are_the_ids_of_the_truth(patients):
    for patient in (one for group in patients.values() for one in group):
        numbers = set(np.unique(patient.study.lesions)) - {0}
        assert numbers == {focus.id for focus in patient.truth.foci if focus.contoured}
        assert all(focus.suspicious for focus in patient.truth.foci if focus.contoured)
        for lesion in patient.truth.lesions:
            if lesion.contoured:
                index = np.argwhere(patient.study.lesions == lesion.id)
                centre = index.mean(axis=0) * patient.study.spacing_mm + patient.study.affine[:3, 3]
                assert np.linalg.norm(centre - lesion.centre_mm) < 25


def test_liver_threshold_is_the_formula_of_qpsma():
    assert threshold_suv(20, "liver", (5.0, 0.5)) == pytest.approx(4.30 / 5.0 * 5.5)
    assert threshold_suv(20, "liver", (5.0, 0.5), in_bone=True) == 3.0
    with pytest.raises(ValueError, match="manual"):
        threshold_suv(20, "manual", (5.0, 0.5))


def test_benign_foci_show_the_uptake_they_were_given(patients):
    shown = {"unspecific_bone_uptake": [], "ureter": [], "bowel_loop": []}
    for patient in (one for group in patients.values() for one in group):
        for focus in patient.truth.foci:
            if focus.kind in shown:
                shown[focus.kind].append(focus.suvmax / focus.suvmax_drawn)
    for kind, ratios in shown.items():
        assert 0.8 < np.median(ratios) < 1.4, kind
