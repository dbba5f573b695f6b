"""Every statement of the truth against the mask and the PET it speaks of."""

from __future__ import annotations

import numpy as np
import pytest

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.region import Region
from fedpsma.phantom.patient import Case, PhantomOptions, draw_patient, first_visit

SITES = "ABCDE"


def check_all(site, indices):
    """Draw patients of a site; the one with the finest voxels on a coarser grid."""
    lesions = 0
    for index in indices:
        visit = first_visit(Case(site, index, 17, PhantomOptions(spacing_mm=4.0 if site == "D" else None)))
        patient = visit.patient
        lesions += len(patient.truth.lesions)
        check_mask(patient)
        check_places(patient, visit.drawn)
        check_uptake(patient)
        check_exam(patient)
    return lesions


def check_mask(patient):
    mask, voxel_ml = patient.study.lesions, patient.study.voxel_ml
    counts = np.bincount(mask.ravel(), minlength=len(patient.truth.foci) + 1)
    for focus in patient.truth.foci:
        assert focus.contoured == (counts[focus.id] > 0)
        assert focus.mask_ml == pytest.approx(counts[focus.id] * voxel_ml, abs=1e-3)
        assert focus.suspicious or not focus.contoured
    assert mask.max() <= len(patient.truth.lesions)


def check_places(patient, body):
    study = patient.study
    back = np.linalg.inv(study.affine)
    for focus in patient.truth.foci:
        x = focus.centre_mm[0] - float(body.axis_mm(focus.centre_mm[2])[0])
        if focus.side in ("L", "R"):
            assert (x > 0) == (focus.side == "R")
        elif "L" in focus.region.facts.sides:
            assert abs(x) < 7.2
        index = np.rint((back @ [*focus.centre_mm, 1.0])[:3]).astype(int)
        near = study.anatomy[tuple(slice(max(one - 1, 0), one + 2) for one in index)]
        assert focus.anatomy in {anatomy_classes()[number].name for number in np.unique(near)}
        if focus.suspicious:
            declared = next(one.region for one in anatomy_classes() if one.name == focus.anatomy)
            assert focus.region == declared or (focus.region, declared) == (Region.PROSTATE_BED, Region.PROSTATE)
        if focus.contoured:
            middle = (study.affine @ [*np.argwhere(study.lesions == focus.id).mean(axis=0), 1.0])[:3]
            reach = 2.5 * np.cbrt(max(focus.mask_ml, focus.volume_ml) * 3000 / (4 * np.pi)) + max(study.spacing_mm)
            assert np.linalg.norm(middle - focus.centre_mm) < reach + 4


def check_uptake(patient):
    study = patient.study
    back = np.linalg.inv(study.affine)
    for focus in patient.truth.foci:
        reach = 2.5 * np.cbrt(focus.volume_ml * 3000 / (4 * np.pi)) + 2 * max(study.spacing_mm)
        low, high = ((back @ [*(np.array(focus.centre_mm) + sign * reach), 1.0])[:3] for sign in (-1, 1))
        box = tuple(slice(max(int(a), 0), int(b) + 2) for a, b in zip(low, high, strict=True))
        assert np.isclose(study.pet[box], focus.suvmax, atol=0.006).any(), focus


def check_exam(patient):
    study, exam = patient.study, patient.truth.exam
    assert exam.psma_vol_ml == pytest.approx((study.lesions > 0).sum() * study.voxel_ml, abs=0.01)
    assert [one.lesion_id for one in exam.lesions] == [f"L{one.id}" for one in patient.truth.lesions if one.contoured]
    for lesion in exam.lesions:
        values = study.pet[study.lesions == int(lesion.lesion_id[1:])]
        assert lesion.suvmax == pytest.approx(values.max(), abs=0.051)
        assert lesion.suvmean == pytest.approx(values.mean(), abs=0.051)
        assert lesion.volume_ml == pytest.approx(values.size * study.voxel_ml, abs=0.006)
        truth = next(one for one in patient.truth.lesions if f"L{one.id}" == lesion.lesion_id)
        assert (lesion.region, lesion.side) == (truth.region, truth.side)


def compartments(patient):
    """Return where the contoured lesions lie: local, pelvic stations, other categories."""
    facts = [one.region.facts for one in patient.truth.lesions if one.contoured]
    local = any(one.mitnm_axis == "T" for one in facts)
    stations = {one.mitnm_code for one in facts if one.mitnm_axis == "N"}
    distant = {one.mitnm_axis for one in facts if one.mitnm_axis in ("M1a", "M1b", "M1c")}
    return local, stations, distant


@pytest.mark.parametrize("site", SITES)
def test_truth_equals_mask_and_pet(site):
    check_all(site, range(2))


@pytest.mark.slow
@pytest.mark.parametrize("site", SITES)
def test_truth_equals_mask_and_pet_in_more_patients(site):
    # The men of site A have few lesions.
    assert check_all(site, range(2, 10 if site == "A" else 6)) > 5


def test_the_true_stage_is_where_the_lesions_lie(patients, pairs):
    everyone = [one for site in "ABC" for one in patients[site]] + [one for pair in pairs for one in pair]
    stages = set()
    for patient in everyone:
        staged, (local, stations, distant) = patient.assessment.true_mitnm, compartments(patient)
        assert (staged.T != "T0") == local
        assert int(staged.N[1:]) == min(len(stations), 2)
        assert set(staged.N_regions) == stations
        assert set(staged.M) == (distant or {"M0"})
        stages |= {staged.N, *staged.M}
    assert {"N0", "N1", "N2", "M0", "M1a", "M1b"} <= stages


def test_the_rules_never_find_more_than_there_is(patients, pairs):
    for patient in [one for site in "ABC" for one in patients[site]] + [one for pair in pairs for one in pair]:
        by_rules, true = patient.assessment.assessment.mitnm, patient.assessment.true_mitnm
        assert set(by_rules.N_regions) <= set(true.N_regions)
        assert set(by_rules.M) <= {*true.M, "M0"}
        assert set(patient.assessment.category_hints) == {one.lesion_id for one in patient.truth.exam.lesions}


def test_no_psma_stage_for_another_kind_of_tracer():
    patient = next(
        one
        for one in (draw_patient("E", index, 2, PhantomOptions(spacing_mm=6.0)) for index in range(9))
        if not one.study.tracer.facts.targets_psma
    )
    assert patient.assessment.true_mitnm is None
    assert "miT" not in patient.report
