"""One way in: DICOM folder, NIfTI with a sidecar, NIfTI with the caller's word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.nifti import write_volume
from fedpsma.io.pseudonym import pseudonym
from fedpsma.io.study_loader import load_study

AFFINE = np.diag([4.0, 4.0, 3.0, 1.0])
SUV = np.random.default_rng(0).uniform(0, 12, (5, 6, 7)).astype(np.float32)


@pytest.fixture
def nifti_pet(tmp_path: Path) -> Path:
    write_volume(tmp_path / "case7.nii.gz", SUV, AFFINE)
    return tmp_path / "case7.nii.gz"


def _sidecar(pet: Path, **content: Any) -> None:
    pet.with_name("case7.json").write_text(json.dumps(content))


def test_pet_without_units_is_refused_with_both_ways_out(nifti_pet: Path) -> None:
    with pytest.raises(InputError, match=r"is a PET without units; say --units suv .* case7\.json"):
        load_study(nifti_pet)


def test_callers_word_is_enough_and_is_noted(nifti_pet: Path) -> None:
    study = load_study(nifti_pet, suv_declared=True)
    assert np.array_equal(study.pet, SUV)
    assert (study.study_id, study.patient_id) == ("case7", "case7")
    assert (study.tracer, study.date, study.ct, study.technique.activity_mbq) == (None, None, None, None)
    assert study.notes == ("the caller says that the PET is in SUVbw", "no CT: findings rest on PET alone")


def test_sidecar_tells_the_rest(nifti_pet: Path) -> None:
    technique = {"activity_mbq": 250, "uptake_min": 90}
    _sidecar(nifti_pet, units="SUVbw", patient="p1", tracer="18F-PSMA-1007", date="2024-01-31", technique=technique)
    study = load_study(nifti_pet)
    assert (study.patient_id, study.tracer, study.date) == ("p1", Tracer.PSMA_1007, "2024-01-31")
    assert (study.technique.activity_mbq, study.technique.uptake_min) == (250, 90)
    assert load_study(nifti_pet, tracer=Tracer.PSMA_11).tracer is Tracer.PSMA_11


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"units": "BQML"}, "units: Input should be 'SUVbw'"),
        ({"tracer": "18F-FDG"}, "units: Field required"),
        ({"units": "SUVbw", "tracer": "PSMA"}, "tracer:"),
        ({"units": "SUVbw", "date": "31.1.2024"}, "date:"),
        ({"units": "SUVbw", "pateint": "p1"}, "pateint: Extra inputs"),
        ({"units": "SUVbw", "technique": {"uptake_min": "soon"}}, "technique.uptake_min:"),
    ],
)
def test_wrong_sidecar_is_named_with_its_field(nifti_pet: Path, content: dict[str, Any], named: str) -> None:
    _sidecar(nifti_pet, **content)
    with pytest.raises(InputError) as refused:
        load_study(nifti_pet, suv_declared=True)
    assert named in str(refused.value)
    assert "case7.json" in str(refused.value)


def test_activity_is_no_suv(tmp_path: Path) -> None:
    write_volume(tmp_path / "bqml.nii.gz", SUV * 4000, AFFINE)
    with pytest.raises(InputError, match=r"has a maximum of 4\.\d+e\+04, which is no SUVbw"):
        load_study(tmp_path / "bqml.nii.gz", suv_declared=True)


def test_ct_on_the_pet_grid_is_taken_as_it_is(nifti_pet: Path, tmp_path: Path) -> None:
    hounsfield = (SUV * 20 - 50).astype(np.float32)
    write_volume(tmp_path / "ct.nii.gz", hounsfield, AFFINE)
    study = load_study(nifti_pet, ct=tmp_path / "ct.nii.gz", suv_declared=True)
    assert np.array_equal(study.ct, hounsfield)
    assert not any("CT" in note for note in study.notes)


def test_ct_on_a_finer_grid_is_interpolated_and_told(nifti_pet: Path, tmp_path: Path) -> None:
    fine = np.diag([2.0, 2.0, 1.5, 1.0])
    write_volume(tmp_path / "ct.nii.gz", np.full((10, 12, 8), 40, np.int16), fine)
    study = load_study(nifti_pet, ct=tmp_path / "ct.nii.gz", suv_declared=True)
    assert study.ct is not None
    assert (study.ct[:, :, :4] == 40).all()
    assert (study.ct[:, :, 4:] == -1024).all()
    assert study.notes[1:] == ("the CT was interpolated to the PET grid", "the CT covers 57% of the PET's slices")


def test_ct_of_another_place_is_refused(nifti_pet: Path, tmp_path: Path) -> None:
    away = AFFINE.copy()
    away[2, 3] = 5000
    write_volume(tmp_path / "ct.nii.gz", SUV, away)
    with pytest.raises(InputError, match="does not reach the PET"):
        load_study(nifti_pet, ct=tmp_path / "ct.nii.gz", suv_declared=True)


def test_folder_is_read_as_dicom_with_the_users_own_key(
    write_dicom: Callable[..., Path], pet: list[Dataset], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    study = load_study(write_dicom(pet))
    key = bytes.fromhex((tmp_path / "config/fedpsma/pseudonym.key").read_text())
    assert study.patient_id == pseudonym(key, "patient", "MRN-4711")
    assert load_study(write_dicom(pet)).patient_id == study.patient_id
    assert load_study(write_dicom(pet), key=bytes(32)).patient_id != study.patient_id


def test_folder_brings_its_own_ct(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="goes with a NIfTI PET only"):
        load_study(tmp_path, ct=tmp_path / "ct.nii.gz")


def test_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_study(tmp_path / "nothing.nii.gz", suv_declared=True)
