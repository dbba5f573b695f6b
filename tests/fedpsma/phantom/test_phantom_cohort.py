from __future__ import annotations

import numpy as np
import pytest

from demo.quickstart.config import QuickstartConfig
from fedpsma.errors import InputError
from fedpsma.io.dataset import read_dataset
from fedpsma.io.exam_file import read_exam
from fedpsma.io.files import read_json
from fedpsma.phantom import cohort
from fedpsma.phantom.cohort import write_cohort
from fedpsma.phantom.patient import PhantomOptions, draw_patient
from fedpsma.phantom.series import draw_series
from fedpsma.phantom.sites import site_profile
from fedpsma.phantom.truth import PatientTruth, TrueAssessment


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    seen: list[str] = []
    folder = tmp_path_factory.mktemp("phantom") / "C"
    data = write_cohort(folder, "C", range(3), seed=3, on_patient=seen.append)
    assert seen == ["C0000", "C0001", "C0002"]
    return data


def test_a_patient_is_reproducible_and_patients_differ(patients):
    again, first = draw_patient("C", 1, seed=3), patients["C"][1]
    assert np.array_equal(again.study.pet, first.study.pet)
    assert np.array_equal(again.study.ct, first.study.ct)
    assert again.truth == first.truth
    assert draw_patient("C", 1, seed=4).truth != first.truth
    assert patients["C"][0].study.pet.shape != first.study.pet.shape


def test_a_written_study_reads_back(dataset, patients):
    found = read_dataset(dataset.folder)
    assert found.info.synthetic
    assert found.info.contour == "pct45"
    assert found.rows == dataset.rows
    study, made = found.load(found.rows[2]), patients["C"][2].study
    assert np.abs(study.pet - made.pet).max() <= 2.0**-8
    assert np.array_equal(study.ct, made.ct)
    assert np.array_equal(study.lesions, made.lesions)
    assert np.array_equal(study.anatomy, made.anatomy)
    assert study.affine == pytest.approx(made.affine, abs=1e-4)
    assert (study.tracer, study.technique) == (made.tracer, made.technique)


def test_the_truth_is_a_complete_exam(dataset):
    for row in dataset.rows:
        path = dataset.folder / "truth" / f"{row.id}.json"
        truth, exam = PatientTruth.model_validate(read_json(path)), read_exam(path)
        assert exam.tracer == row.tracer
        assert exam.indication
        assert exam.clinical.psa_ng_ml is not None
        assert exam.clinical.prostate_status in ("in_situ", "removed", "irradiated")
        assert exam.reference_suv.liver is not None
        assert [one.lesion_id for one in exam.lesions] == [f"L{one.id}" for one in truth.lesions if one.contoured]
        assert all(one.suvmean <= one.suvmax for one in exam.lesions)
        volume = sum(one.volume_ml for one in exam.lesions)
        assert exam.psma_vol_ml == pytest.approx(volume, abs=0.01 * len(exam.lesions) + 0.01)


def test_a_cohort_goes_on_where_it_stopped(tmp_path, monkeypatch, dataset):
    made: list[int] = []

    def fails_at_one(site, index, *others):
        if index == 1 and len(made) == 1:
            made.append(-1)
            raise RuntimeError("power cut")
        made.append(index)
        yield from draw_series(site, index, *others)

    monkeypatch.setattr(cohort, "draw_series", fails_at_one)
    with pytest.raises(RuntimeError, match="power cut"):
        write_cohort(tmp_path / "C", "C", range(2), seed=3)
    assert [row.id for row in read_dataset(tmp_path / "C").rows] == ["C0000"]
    data = write_cohort(tmp_path / "C", "C", range(2), seed=3)
    assert made == [0, -1, 1]
    assert data.rows == dataset.rows[:2]
    for kind in ("pet", "ct", "mask", "anatomy"):
        name = f"{kind}/C0001.nii.gz"
        assert (tmp_path / "C" / name).read_bytes() == (dataset.folder / name).read_bytes()


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Two patients with a later scan each, written in two goes."""
    folder = tmp_path_factory.mktemp("followed") / "B"
    options = PhantomOptions(spacing_mm=6.0)
    write_cohort(folder, "B", range(1), seed=3, options=options)
    before = (folder / "pet/B0000.nii.gz").read_bytes()
    data = write_cohort(folder, "B", range(2), seed=3, options=options, follow_ups=1)
    assert (folder / "pet/B0000.nii.gz").read_bytes() == before
    return data


def test_later_scans_belong_to_the_same_patient(followed):
    assert [row.id for row in followed.rows] == ["B0000", "B0000-2", "B0001", "B0001-2"]
    assert followed.patients == ("B0000", "B0001")
    for patient in followed.patients:
        first, later = followed.rows_of(patient)
        assert first.date < later.date
        assert first.scanner
        assert first.spacing == later.spacing == (6.0, 6.0, 6.0)
        assert followed.load(later).patient_id == patient


def test_truth_assessment_and_report_lie_beside_each_other(followed):
    for row in followed.rows:
        stem = followed.folder / "truth" / row.id
        truth = PatientTruth.model_validate(read_json(stem.with_name(f"{row.id}.json")))
        assessment = TrueAssessment.model_validate(read_json(stem.with_name(f"{row.id}.assessment.json")))
        report = stem.with_name(f"{row.id}.report.txt").read_text("utf-8")
        assert truth.study_id == assessment.study_id == row.id
        assert assessment.true_mitnm_string in report
        assert (truth.follow_up is None) == (row.id == row.patient)
    later = PatientTruth.model_validate(read_json(followed.folder / "truth/B0000-2.json"))
    assert later.follow_up.previous_study == "B0000"
    told, _, report = (followed.folder / "truth/B0000.report.txt").read_text("utf-8").partition("\n\n")
    assert told == "SYNTHETIC PATIENT"
    assert later.exam.prior.report_text == report


def test_a_cohort_made_another_way_is_another_cohort(followed):
    with pytest.raises(InputError, match=r"6 mm.*not"):
        write_cohort(followed.folder, "B", range(1), seed=3)


def test_another_cohort_in_the_folder_is_refused(dataset):
    with pytest.raises(InputError, match=r"seed 3.*not.*seed 9"):
        write_cohort(dataset.folder, "C", range(1), seed=9)


def test_unknown_site_and_negative_index_are_refused(tmp_path):
    with pytest.raises(InputError, match="choose one of A, B, C, D, E"):
        write_cohort(tmp_path / "x", "Z", range(1), seed=1)
    with pytest.raises(InputError, match="negative"):
        draw_patient("A", -1, seed=1)


def test_the_quickstart_sites_differ_in_tracer_scanner_and_convention():
    sites = [site_profile(name) for name in QuickstartConfig.standard().sites]
    assert len(sites) == 3
    for what in ("spacing_mm", "contour", "psf_mm"):
        assert len({getattr(site, what) for site in sites}) == 3, what
    assert len({tuple(site.tracers.items()) for site in sites}) == 3
