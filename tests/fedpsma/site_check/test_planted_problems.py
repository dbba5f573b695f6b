"""Each kind of problem, planted alone into a sound cohort, is found with its file, and nothing else is."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from fedpsma.domain.tracer import Tracer
from fedpsma.io.nifti import read_volume, write_volume


def _first_with_side(cohort: Any) -> int:
    """A study with several lesions: their mirror images miss the uptake."""
    report = cohort.check()
    return max(range(len(report.studies)), key=lambda number: len(report.studies[number].lesion_ml))


def test_a_sound_cohort_has_no_error_and_no_warning(cohort: Any) -> None:
    report = cohort.check()
    assert [one for one in report.problems if one.severity != "note"] == []
    assert report.ready
    assert report.verdict == "ready to train"
    assert {one.code for one in report.problems} == {"date_missing", "scanner_unknown"}


@pytest.mark.parametrize("kind", ["pet", "ct", "mask"])
def test_a_missing_file_is_named(cohort: Any, kind: str) -> None:
    name = getattr(cohort.rows[1], kind)
    (cohort.folder / name).unlink()
    (problem,) = [one for one in cohort.check().problems if one.severity == "error"]
    assert (problem.code, problem.file) == ("file_missing", name)


def test_half_a_file_is_unreadable(cohort: Any) -> None:
    path = cohort.folder / cohort.rows[1].pet
    path.write_bytes(path.read_bytes()[:40_000])
    assert cohort.found() == ["file_unreadable"]


def test_a_mask_on_another_grid_is_refused(cohort: Any) -> None:
    cohort.volume(cohort.rows[1].mask, lambda mask: mask[:, :, :-2])
    assert cohort.found() == ["grid_mismatch"]


def test_a_mask_of_probabilities_is_refused(cohort: Any) -> None:
    path = cohort.folder / cohort.rows[1].mask
    mask = read_volume(path)
    write_volume(path, np.where(mask.data > 0, 0.7, 0.1).astype(np.float32), mask.affine)
    assert cohort.found() == ["mask_not_labels"]


def test_a_study_without_mask_stops_training(cohort: Any) -> None:
    cohort.row(2, mask=None)
    (problem,) = [one for one in cohort.check().problems if one.severity == "error"]
    assert (problem.code, problem.file) == ("mask_missing", "studies.jsonl, line 3")


def test_a_study_without_tracer_is_named_by_its_line(cohort: Any) -> None:
    cohort.row(3, tracer=None)
    report = cohort.check()
    assert [one.code for one in report.problems if one.severity == "error"] == ["tracer_missing"]
    assert report.problems[0].file == "studies.jsonl, line 4"
    cohort.info(tracer=cohort.rows[0].tracer)
    assert cohort.found() == []


@pytest.mark.parametrize("factor", [5000.0, 1e-3])
def test_bq_per_ml_and_a_wrong_dose_unit_are_impossible(cohort: Any, factor: float) -> None:
    cohort.volume(cohort.rows[0].pet, lambda pet: pet * factor)
    assert cohort.found() == ["suv_impossible"]
    assert cohort.check().verdict == "training must not start: 1 error"


@pytest.mark.parametrize("factor", [5.0, 0.2])
def test_one_study_in_another_unit_is_seen_beside_the_others(cohort: Any, factor: float) -> None:
    cohort.volume(cohort.rows[0].pet, lambda pet: pet * factor)
    assert cohort.found() == ["mixed_units"]


def test_empty_masks_everywhere_are_an_error(cohort: Any) -> None:
    for row in cohort.rows:
        cohort.volume(row.mask, np.zeros_like)
    assert cohort.found() == ["no_lesion"]


def test_too_few_patients_are_an_error(cohort: Any) -> None:
    for number in range(len(cohort.rows)):
        cohort.row(number, patient="one" if number < 2 else cohort.rows[number].patient, date=f"2020-01-0{number + 1}")
    assert cohort.found() == ["few_patients"]


def _copy_study(cohort: Any, source: int, target: int) -> None:
    """Put the volumes of one study under another."""
    rows = cohort.rows
    for kind in ("pet", "ct", "mask"):
        shutil.copy(cohort.folder / getattr(rows[source], kind), cohort.folder / getattr(rows[target], kind))
    cohort.row(target, spacing=rows[source].spacing, tracer=rows[source].tracer)


def test_the_same_scan_under_two_patients_is_an_error(cohort: Any) -> None:
    _copy_study(cohort, 0, 4)
    (problem,) = [one for one in cohort.check().problems if one.severity != "note"]
    assert problem.code == "same_pet"
    assert problem.study == cohort.rows[4].id
    assert cohort.rows[0].patient in problem.what


def test_a_copy_in_another_axis_order_is_still_the_same_scan(cohort: Any) -> None:
    _copy_study(cohort, 0, 4)
    path = cohort.folder / cohort.rows[4].pet
    pet = read_volume(path)
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = pet.data.shape[0] - 1
    write_volume(path, np.ascontiguousarray(pet.data[::-1]), pet.affine @ flip)
    assert cohort.found() == ["same_pet"]


def test_the_same_ct_under_two_patients_is_an_error(cohort: Any) -> None:
    _copy_study(cohort, 0, 4)
    cohort.volume(cohort.rows[4].pet, lambda pet: pet + np.random.default_rng(1).normal(0, 0.3, pet.shape))
    assert set(cohort.found()) == {"same_ct", "similar_pet"}


def test_the_same_study_twice_is_an_error(cohort: Any) -> None:
    _copy_study(cohort, 0, 4)
    cohort.row(4, patient=cohort.rows[0].patient, date="2020-01-01")
    cohort.row(0, date="2020-01-02")
    assert set(cohort.found()) == {"same_study", "few_patients"}


def test_a_cut_resampled_and_rescaled_copy_is_found(cohort: Any) -> None:
    source = read_volume(cohort.folder / cohort.rows[0].pet)
    step = 1.25
    data = 0.8 * ndimage.zoom(source.data, 1 / step, order=1)[:, :, 10:-8]
    affine = source.affine @ np.diag([step, step, step, 1.0])
    row = cohort.rows[4]
    write_volume(cohort.folder / row.pet, data.astype(np.float32), affine)
    write_volume(cohort.folder / row.mask, np.zeros(data.shape, np.int16), affine)
    cohort.row(4, ct=None, spacing=tuple(np.linalg.norm(affine[:3, :3], axis=0)))
    assert cohort.found() == ["similar_pet"]


def test_a_mirrored_mask_is_found(cohort: Any) -> None:
    number = _first_with_side(cohort)
    cohort.volume(cohort.rows[number].mask, lambda mask: mask[::-1])
    (problem,) = [one for one in cohort.check().problems if one.severity != "note"]
    assert (problem.code, problem.file) == ("mask_mirrored", cohort.rows[number].mask)


def test_a_mask_in_a_cold_place_is_found(cohort: Any) -> None:
    number = _first_with_side(cohort)

    def into_the_air(mask: np.ndarray) -> np.ndarray:
        moved = np.zeros_like(mask)
        moved[4:8, 4:8, 40:60] = 1
        return moved

    cohort.volume(cohort.rows[number].mask, into_the_air)
    assert cohort.found() == ["mask_low_uptake"]


def test_a_mirrored_study_shows_its_liver_on_the_left(cohort: Any) -> None:
    row = cohort.rows[2]
    for name in (row.pet, row.ct, row.mask):
        cohort.volume(name, lambda data: data[::-1])
    (problem,) = [one for one in cohort.check().problems if one.severity != "note"]
    assert (problem.code, problem.file) == ("liver_left", row.pet)


@pytest.mark.parametrize("shift", [(12, 0, 0), (0, 8, 0)])
def test_a_ct_in_another_place_does_not_fit(cohort: Any, shift: tuple[int, int, int]) -> None:
    cohort.volume(cohort.rows[2].ct, lambda ct: np.roll(ct, shift, (0, 1, 2)))
    assert cohort.found() == ["ct_misfit"]


def test_a_tracer_that_the_liver_contradicts_is_questioned(cohort: Any) -> None:
    cohort.row(0, tracer=Tracer.FDG)
    assert set(cohort.found()) <= {"liver_odd", "liver_blood_ratio_odd"}
    assert cohort.found()


def test_outlines_that_contradict_the_declared_convention_are_found(cohort: Any) -> None:
    cohort.info(contour="suv3")
    (problem,) = [one for one in cohort.check().problems if one.severity != "note"]
    assert (problem.code, problem.file) == ("contour_differs", "dataset.json")
    assert "pct45" in problem.what


def test_a_spacing_that_the_volume_contradicts_is_found(cohort: Any) -> None:
    cohort.row(0, spacing=(2.0, 2.0, 2.0))
    assert cohort.found() == ["spacing_differs"]


def test_a_small_field_and_an_odd_voxel_are_found(cohort: Any) -> None:
    row = cohort.rows[1]
    for name in (row.pet, row.ct, row.mask):
        cohort.volume(name, lambda data: data[:, :, 60:120])
    assert "field_small" in cohort.found()


def test_follow_ups_are_noted_and_need_their_dates(cohort: Any) -> None:
    cohort.row(1, patient=cohort.rows[0].patient)
    report = cohort.check()
    codes = [one.code for one in report.problems]
    assert codes.count("date_missing") == 3
    assert "follow_up" in codes
    assert report.summary.studies_per_patient == {1: 4, 2: 1}


def test_several_scanners_are_noted(cohort: Any) -> None:
    cohort.row(0, scanner="maker one")
    cohort.row(1, scanner="maker two")
    report = cohort.check()
    assert {"several_scanners", "scanner_unknown"} <= {one.code for one in report.problems}
    assert report.summary.scanners == {"maker one": 1, "maker two": 1}
    assert report.ready
