from __future__ import annotations

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fedpsma.commands.phantom import phantom
from fedpsma.errors import InputError
from fedpsma.io.dataset import read_dataset
from fedpsma.io.exam_file import read_exam
from fedpsma.io.files import read_json
from fedpsma.phantom import cohort
from fedpsma.phantom.cohort import write_cohort
from fedpsma.phantom.patient import draw_patient
from fedpsma.phantom.sites import quickstart_sites, site_profile
from fedpsma.phantom.truth import PatientTruth


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
    assert study.pet == pytest.approx(made.pet, abs=2.0**-8)
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

    def fails_at_one(site, index, seed):
        if index == 1 and len(made) == 1:
            made.append(-1)
            raise RuntimeError("power cut")
        made.append(index)
        return draw_patient(site, index, seed)

    monkeypatch.setattr(cohort, "draw_patient", fails_at_one)
    with pytest.raises(RuntimeError, match="power cut"):
        write_cohort(tmp_path / "C", "C", range(2), seed=3)
    assert [row.id for row in read_dataset(tmp_path / "C").rows] == ["C0000"]
    data = write_cohort(tmp_path / "C", "C", range(2), seed=3)
    assert made == [0, -1, 1]
    assert data.rows == dataset.rows[:2]
    for kind in ("pet", "ct", "mask", "anatomy"):
        name = f"{kind}/C0001.nii.gz"
        assert (tmp_path / "C" / name).read_bytes() == (dataset.folder / name).read_bytes()


def test_another_cohort_in_the_folder_is_refused(dataset):
    with pytest.raises(InputError, match=r"seed 3.*not.*seed 9"):
        write_cohort(dataset.folder, "C", range(1), seed=9)


def test_unknown_site_and_negative_index_are_refused(tmp_path):
    with pytest.raises(InputError, match="choose one of A, B, C, D, E"):
        write_cohort(tmp_path / "x", "Z", range(1), seed=1)
    with pytest.raises(InputError, match="negative"):
        draw_patient("A", -1, seed=1)


def test_the_quickstart_sites_differ_in_tracer_scanner_and_convention():
    sites = [site_profile(name) for name in quickstart_sites()]
    assert len(sites) == 3
    for what in ("spacing_mm", "contour", "psf_mm"):
        assert len({getattr(site, what) for site in sites}) == 3, what
    assert len({tuple(site.tracers.items()) for site in sites}) == 3


def test_the_command_writes_a_data_set(tmp_path):
    app = typer.Typer()
    app.command()(phantom)
    result = CliRunner().invoke(
        app, ["--site", "C", "--patients", "1", "--first", "7", "--seed", "2", "--out", str(tmp_path / "c")]
    )
    assert result.exit_code == 0, result.output
    assert "1 synthetic patients" in result.output
    assert [row.id for row in read_dataset(tmp_path / "c").rows] == ["C0007"]
