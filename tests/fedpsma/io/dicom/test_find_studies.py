"""Which studies lie below a folder, and that one damaged file stops only its own study."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dicom_series import ct_slices, pet_slices, save, set_all, siemens_slices
from pydicom import Dataset
from pydicom.uid import generate_uid

from fedpsma.errors import InputError
from fedpsma.io.dicom.convert import DicomOptions, convert_study, study_ids
from fedpsma.io.dicom.find import find_studies
from fedpsma.io.dicom.study import load_dicom_study

KEY = bytes(32)
OPTIONS = DicomOptions(key=KEY)


def _another_patient(slices: list[Dataset], number: int) -> list[Dataset]:
    uid, series = generate_uid(entropy_srcs=[f"s{number}"]), generate_uid(entropy_srcs=[f"r{number}"])
    for index, one in enumerate(slices):
        one.PatientID, one.StudyInstanceUID, one.SeriesInstanceUID = f"MRN-{number}", uid, series
        one.SOPInstanceUID = generate_uid(entropy_srcs=[f"{number}", str(index)])
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    return slices


def test_studies_are_grouped_in_any_nesting_and_by_any_name(tmp_path: Path) -> None:
    save(tmp_path / "a" / "deep" / "pet", pet_slices())
    save(tmp_path / "a" / "ct", ct_slices())
    save(tmp_path / "b", _another_patient(siemens_slices(), 2))
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "b" / "notes.pdf").write_bytes(b"%PDF-1.4")
    # What macOS leaves beside a file on a foreign disk.
    (tmp_path / "b" / "._IM000.dcm").write_bytes(b"\0\5\x16\7")
    steps: list[tuple[int, int]] = []
    found = find_studies(tmp_path, lambda done, total: steps.append((done, total)))
    assert steps == [(k, 24) for k in range(1, 25)]
    assert found.damaged == ()
    assert [(len(one.pet), len(one.ct)) for one in found.studies] == [(1, 1), (1, 0)]
    assert [len(one.pet[0].instances) for one in found.studies] == [5, 6]
    assert str(tmp_path / "a") in found.studies[0].name
    assert study_ids(found.studies[0], KEY)[1] != study_ids(found.studies[1], KEY)[1]
    assert all(convert_study(one, OPTIONS).study.pet.size for one in found.studies)


def test_damaged_file_stops_its_own_study_only(tmp_path: Path) -> None:
    save(tmp_path / "a", pet_slices())
    save(tmp_path / "b", _another_patient(siemens_slices(), 2))
    broken = tmp_path / "a" / "IM002"
    broken.write_bytes(broken.read_bytes()[:400])
    found = find_studies(tmp_path)
    assert [one.path for one in found.damaged] == [broken]
    hurt, whole = found.studies
    with pytest.raises(InputError) as refused:
        convert_study(hurt, OPTIONS)
    assert str(broken) in str(refused.value)
    assert convert_study(whole, OPTIONS).study.pet.shape == (8, 6, 6)


def test_file_that_lost_its_first_bytes_is_missed(tmp_path: Path) -> None:
    save(tmp_path, pet_slices())
    (tmp_path / "IM004").write_bytes(b"")
    with pytest.raises(InputError, match=r"has 4 of 5 slices: NumberOfSlices"):
        convert_study(find_studies(tmp_path).studies[0], OPTIONS)
    (tmp_path / "IM004").rename(tmp_path / "IM004.dcm")
    assert [one.path.name for one in find_studies(tmp_path).damaged] == ["IM004.dcm"]


def test_one_instance_in_two_places_of_the_body_is_damaged(tmp_path: Path) -> None:
    slices = pet_slices()
    slices[3].SOPInstanceUID = slices[2].SOPInstanceUID
    damaged = find_studies(save(tmp_path, slices)).damaged
    assert [one.path.name for one in damaged] == ["IM003"]
    assert "another place" in str(damaged[0])


def test_copies_of_a_file_count_once(tmp_path: Path) -> None:
    save(tmp_path / "a", pet_slices())
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert len(find_studies(tmp_path).studies[0].pet[0].instances) == 5


def test_slice_under_another_series_is_not_left_out(tmp_path: Path) -> None:
    slices = pet_slices()
    for one in slices:
        del one.NumberOfSlices
    slices[4].SeriesInstanceUID = generate_uid()
    with pytest.raises(InputError, match=r"under another SeriesInstanceUID \(0020,000E\)"):
        convert_study(find_studies(save(tmp_path, slices)).studies[0], OPTIONS)


def test_pet_series_is_chosen_by_number_or_description(tmp_path: Path) -> None:
    sharp = _another_patient(pet_slices(), 1)
    for one in sharp:
        one.StudyInstanceUID, one.PatientID = pet_slices()[0].StudyInstanceUID, "MRN-4711"
        one.SeriesDescription, one.SeriesNumber, one.RescaleSlope = "PET Q.Clear", 8, "2"
    save(tmp_path / "a", pet_slices())
    study = find_studies(save(tmp_path / "b", sharp).parent).studies[0]
    with pytest.raises(InputError, match="holds 2 PET series"):
        convert_study(study, OPTIONS)
    for pattern in ("*q.CLEAR", "8"):
        chosen = convert_study(study, DicomOptions(key=KEY, series=pattern))
        assert chosen.provenance.suv.rescale_slope == (2, 2)
        assert "not read: series 7 (PT), not chosen" in chosen.study.notes
    with pytest.raises(InputError, match="has no PET series that fits 'CT', but series 7"):
        convert_study(study, DicomOptions(key=KEY, series="CT"))


@pytest.mark.parametrize("kind", [["DERIVED", "SECONDARY", "MIP"], ["DERIVED", "SECONDARY"]])
def test_projections_of_the_pet_are_not_taken_for_it(tmp_path: Path, kind: list[str]) -> None:
    projections = _another_patient(pet_slices(), 1)
    for one in projections:
        one.StudyInstanceUID, one.PatientID = pet_slices()[0].StudyInstanceUID, "MRN-4711"
        one.ImageType, one.SeriesDescription = kind, "MIP"
    save(tmp_path / "a", pet_slices())
    study = find_studies(save(tmp_path / "b", projections).parent).studies[0]
    imported = convert_study(study, OPTIONS)
    assert any(note.startswith("not read: series 7 (PT)") for note in imported.study.notes)


def test_projections_alone_are_no_pet(tmp_path: Path) -> None:
    slices = pet_slices()
    set_all("ImageType", ["DERIVED", "SECONDARY", "MIP"])(slices)
    with pytest.raises(InputError, match="holds no PET slices, but pictures"):
        convert_study(find_studies(save(tmp_path, slices)).studies[0], OPTIONS)


def test_ct_beside_reformats_and_scouts(tmp_path: Path) -> None:
    scouted = ct_slices()
    scouted[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scouted[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    coronal = _another_patient(ct_slices(), 1)
    for index, one in enumerate(coronal):
        one.StudyInstanceUID, one.PatientID = pet_slices()[0].StudyInstanceUID, "MRN-4711"
        one.ImageOrientationPatient, one.ImagePositionPatient = [1, 0, 0, 0, 0, -1], [-14, -10 + 2 * index, -86.5]
    save(tmp_path / "ct", scouted)
    save(tmp_path / "coronal", coronal)
    study = find_studies(save(tmp_path / "pet", pet_slices()).parent).studies[0]
    record = convert_study(study, OPTIONS).provenance.ct
    assert record is not None
    assert record.grid.shape == (16, 12, 9)
    assert record.grid.orientation == "LPS"


def test_ct_of_another_patient_in_the_same_study_is_refused(tmp_path: Path) -> None:
    other = ct_slices()
    set_all("PatientID", "MRN-1")(other)
    save(tmp_path / "ct", other)
    with pytest.raises(InputError, match="CT of another PatientID"):
        convert_study(find_studies(save(tmp_path / "pet", pet_slices()).parent).studies[0], OPTIONS)


def test_several_studies_are_not_guessed_between(tmp_path: Path) -> None:
    save(tmp_path / "a", pet_slices())
    save(tmp_path / "b", _another_patient(siemens_slices(), 2))
    with pytest.raises(InputError, match="holds 2 studies with a PET"):
        load_dicom_study(tmp_path, key=KEY)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        find_studies(tmp_path / "nothing")


def test_no_value_of_a_header_reaches_a_log_or_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    slices = pet_slices()
    for one in slices:
        # pydicom quotes what is no UID.
        one.FrameOfReferenceUID = "Muster^Max"
    save(tmp_path / "pet", slices)
    recwarn.clear()
    caplog.clear()
    convert_study(find_studies(tmp_path).studies[0], OPTIONS)
    assert "Muster" not in caplog.text
    assert not any("Muster" in str(warning.message) for warning in recwarn)
