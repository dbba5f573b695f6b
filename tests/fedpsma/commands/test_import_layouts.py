"""``fedpsma import nnunet``, ``bids`` and ``dicom`` as a user sees them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from dicom_writer import write_dicom_study
from typer.testing import CliRunner, Result

from fedpsma.commands.import_ import import_
from fedpsma.domain.study import Study
from fedpsma.errors import InputError
from fedpsma.io.dataset import read_dataset
from fedpsma.io.nifti import write_volume
from fedpsma.io.provenance import Provenance

AFFINE = np.diag([4.0, 4.0, 3.0, 1.0])
SUV = np.random.default_rng(0).uniform(0, 12, (8, 9, 7)).astype(np.float32)
CT = np.random.default_rng(1).integers(-1000, 1500, SUV.shape).astype(np.float32)


def _import(layout: str, source: Path, *options: str) -> Result:
    fixed = ("--out", str(source.parent / "out"), "--name", "test", "--site", "A", "--contour", "manual")
    return CliRunner().invoke(import_, [layout, str(source), *fixed, *options])


def test_nnunet_cases_become_studies(tmp_path: Path) -> None:
    source = tmp_path / "Dataset221"
    for case in ("psma_95b833d46f153cd2_2018-04-16", "psma_95b833d46f153cd2_2019-04-16", "fdg_0011f3deaf_03-23-2003-x"):
        write_volume(source / f"imagesTr/{case}_0000.nii.gz", CT, AFFINE)
        write_volume(source / f"imagesTr/{case}_0001.nii.gz", SUV, AFFINE)
        write_volume(source / f"labelsTr/{case}.nii.gz", (SUV > 11).astype(np.uint8), AFFINE)
    shown = _import("nnunet", source, "--tracer", "68Ga-PSMA-11")
    assert shown.exit_code == 0, shown.output
    assert "3 studies of 2 patients (3 imported)" in shown.stdout
    assert "tracer: 68Ga-PSMA-11 2, 18F-FDG 1" in shown.stdout
    assert "with CT: 3, with a mask of lesions: 3" in shown.stdout


def test_nnunet_asks_for_the_patient(tmp_path: Path) -> None:
    write_volume(tmp_path / "raw/imagesTr/case_001_0001.nii.gz", SUV, AFFINE)
    (tmp_path / "raw/dataset.json").write_text(json.dumps({"channel_names": {"1": "SUV"}}))
    asked = _import("nnunet", tmp_path / "raw")
    assert isinstance(asked.exception, InputError)
    assert "--patient REGEX" in str(asked.exception)
    shown = _import("nnunet", tmp_path / "raw", "--patient", "(.*)")
    assert shown.exit_code == 0, shown.output
    assert read_dataset(tmp_path / "out").patients == ("case_001",)


def test_bids_study_without_weight_is_refused_and_the_other_goes_on(tmp_path: Path) -> None:
    fields = {"TracerName": "FDG", "TracerRadionuclide": "F18", "InjectedRadioactivity": 300}
    fields |= {"InjectedRadioactivityUnits": "MBq", "AttenuationCorrection": "CT", "Units": "Bq/mL"}
    fields |= {"ImageDecayCorrected": True, "ImageDecayCorrectionTime": 0, "InjectionStart": -3600, "ScanStart": 0}
    for subject in ("sub-01", "sub-02"):
        write_volume(tmp_path / f"bids/{subject}/pet/{subject}_pet.nii.gz", SUV * 4000, AFFINE)
    (tmp_path / "bids/pet.json").write_text(json.dumps(fields))
    (tmp_path / "bids/participants.tsv").write_text("participant_id\tweight\nsub-01\t75\nsub-02\tn/a\n")
    shown = _import("bids", tmp_path / "bids")
    assert shown.exit_code == 2
    assert "1 study of 1 patient (1 imported, 1 refused)" in shown.stdout
    assert "has no body weight; give a column weight or body_weight (kg) in participants.tsv" in shown.stderr
    assert "tracer: 18F-FDG 1" in shown.stdout


@pytest.fixture
def export(tmp_path: Path) -> Path:
    write_dicom_study(tmp_path / "export/one", Study("one", "p", SUV, AFFINE, ct=CT))
    return tmp_path / "export"


def test_dicom_study_becomes_pseudonymous(export: Path) -> None:
    key = export.parent / "site.key"
    shown = _import("dicom", export, "--key", str(key), "--tracer", "18F-PSMA-1007")
    assert shown.exit_code == 0, shown.output
    assert "1 study of 1 patient (1 imported)" in shown.stdout
    assert "tracer: 18F-PSMA-1007 1" in shown.stdout
    out = export.parent / "out"
    data = read_dataset(out)
    study = data.load(data.rows[0])
    assert study.pet == pytest.approx(SUV, rel=2e-3, abs=2e-3)
    assert data.rows[0].patient.startswith("patient-")
    record = Provenance.model_validate_json((out / str(data.rows[0].sidecar)).read_text())
    assert record.source == "DICOM"
    assert key.is_file()
    for path in out.rglob("*.json*"):
        assert not any(secret in path.read_text() for secret in ("MRN-4711", "Muster", str(export)))


def test_dates_are_moved_kept_or_dropped(export: Path) -> None:
    key = ("--key", str(export.parent / "site.key"))
    days: dict[str, str | None] = {}
    for choice in ("shift", "keep", "drop"):
        options = (*key, "--dates", choice, "--out", str(export.parent / choice))
        assert _import("dicom", export, *options).exit_code == 0
        days[choice] = read_dataset(export.parent / choice).rows[0].date
    assert days["drop"] is None
    assert days["keep"] is not None
    assert days["shift"] is not None
    assert days["shift"] < days["keep"]


def test_damaged_dicom_file_is_named_and_costs_the_exit_code(export: Path) -> None:
    whole = sorted((export / "one/PET").iterdir())[0].read_bytes()
    (export / "lost").mkdir()
    (export / "lost/slice").write_bytes(whole[:300])
    shown = _import("dicom", export, "--key", str(export.parent / "site.key"))
    assert shown.exit_code == 2
    assert f"damaged: {export / 'lost/slice'}: " in shown.stderr
    assert "1 study of 1 patient (1 imported)" in shown.stdout


def test_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shown = _import("dicom", tmp_path / "empty", "--key", str(tmp_path / "site.key"))
    assert isinstance(shown.exception, InputError)
    assert "holds no DICOM image" in str(shown.exception)
