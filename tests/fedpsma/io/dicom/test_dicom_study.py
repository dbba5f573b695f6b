"""A DICOM folder as a study: a series made here, and a real one against its published SUV image."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from dicom_series import drop_all, set_all, set_dose
from pydicom import Dataset
from pydicom.uid import generate_uid

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dicom.header import pet_header
from fedpsma.io.dicom.study import load_dicom_study
from fedpsma.io.dicom.tags import Tags
from fedpsma.io.pet_header import PetHeader

KEY = bytes(range(32))
# 80 kg, 300 MBq of F-18 decayed over an hour.
FACTOR = 80_000 / (300e6 * 2 ** (-3600 / 6586.2))


def test_pixels_land_where_they_belong(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    study = load_dicom_study(write_dicom(pet), key=KEY)
    assert study.pet.shape == (8, 6, 5)
    assert study.spacing_mm == pytest.approx((4, 4, 3))
    # Patient's right is high x, anterior is high y: DICOM row 1, column 0 is (x, y) = (7, 4).
    assert np.unravel_index(study.pet.argmax(), study.pet.shape) == (7, 4, 2)
    assert study.affine @ [7, 4, 2, 1] == pytest.approx([14, 6, -94, 1])


def test_each_slice_has_its_own_rescale(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    study = load_dicom_study(write_dicom(pet), key=KEY)
    assert study.pet[0, 0, :] == pytest.approx(FACTOR * 100 * np.arange(1, 6), rel=1e-6)
    assert study.pet.max() == pytest.approx(FACTOR * 3000, rel=1e-6)


def test_study_says_what_the_header_says_and_no_more(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    study = load_dicom_study(write_dicom(pet), key=KEY)
    assert study.tracer is Tracer.FDG
    assert study.date == "2024-01-31"
    assert (study.technique.activity_mbq, study.technique.uptake_min, study.technique.weight_kg) == (300, 60, 80)
    assert study.technique.furosemide is None
    assert "no CT: findings rest on PET alone" in study.notes
    everything = repr((study.study_id, study.patient_id, study.notes, study.technique))
    assert not any(secret in everything for secret in ("Muster", "4711", str(pet[0].StudyInstanceUID)))


def test_pseudonyms_depend_on_the_key_and_the_patient_alone(
    write_dicom: Callable[..., Path], pet: list[Dataset]
) -> None:
    first = load_dicom_study(write_dicom(pet), key=KEY)
    later = generate_uid()
    for one in pet:
        one.StudyInstanceUID = later
    second = load_dicom_study(write_dicom(pet), key=KEY)
    other_site = load_dicom_study(write_dicom(pet), key=bytes(32))
    assert second.patient_id == first.patient_id
    assert second.study_id != first.study_id
    assert other_site.patient_id != first.patient_id


def test_unknown_patient_counts_alone(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    for one in pet:
        one.PatientID = ""
    assert any("no Patient ID" in note for note in load_dicom_study(write_dicom(pet), key=KEY).notes)


def test_ct_lies_on_the_pet_grid(write_dicom: Callable[..., Path], pet: list[Dataset], ct: list[Dataset]) -> None:
    study = load_dicom_study(write_dicom(pet, ct), key=KEY)
    assert study.ct is not None
    right_mm = (study.affine @ np.array([np.arange(8), [0] * 8, [0] * 8, [1] * 8]))[0]
    assert study.ct[:, 3, 2] == pytest.approx(-10 * right_mm, abs=1e-3)
    assert not any("CT" in note for note in study.notes)


def test_ct_outside_its_reach_is_air(write_dicom: Callable[..., Path], pet: list[Dataset], ct: list[Dataset]) -> None:
    study = load_dicom_study(write_dicom(pet, ct[:6]), key=KEY)
    assert study.ct is not None
    assert (study.ct[:, :, -1] == -1024).all()
    assert "the CT covers 60% of the PET's slices" in study.notes


def test_ct_of_another_frame_of_reference_is_left(
    write_dicom: Callable[..., Path], pet: list[Dataset], ct: list[Dataset]
) -> None:
    for one in ct:
        one.FrameOfReferenceUID = "1.2.3"
    study = load_dicom_study(write_dicom(pet, ct), key=KEY)
    assert study.ct is None
    assert any("another frame of reference" in note for note in study.notes)


def test_scout_view_is_no_ct(write_dicom: Callable[..., Path], pet: list[Dataset], ct: list[Dataset]) -> None:
    for one in ct:
        one.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    assert load_dicom_study(write_dicom(pet, ct), key=KEY).ct is None


def test_caller_names_the_tracer(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    assert load_dicom_study(write_dicom(pet), key=KEY, tracer=Tracer.PSMA_1007).tracer is Tracer.PSMA_1007


def test_uncorrected_series_is_passed_over(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    uncorrected = [_renamed(one, "PET NAC Mueller Hans") for one in pet]
    for one in uncorrected:
        one.CorrectedImage = ["DECY"]
    study = load_dicom_study(write_dicom(pet, uncorrected), key=KEY)
    assert "not read: series 7 (PT), without attenuation correction" in study.notes
    assert not any("Mueller" in note for note in study.notes)


def test_the_same_file_twice_counts_once(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    assert load_dicom_study(write_dicom(pet, pet), key=KEY).pet.shape == (8, 6, 5)


def test_uneven_slices_within_five_percent_are_read(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    pet[4].ImagePositionPatient[2] += 0.1
    assert load_dicom_study(write_dicom(pet), key=KEY).spacing_mm[2] == pytest.approx(3.025)


def _renamed(one: Dataset, series: str) -> Dataset:
    copy = deepcopy(one)
    copy.SeriesInstanceUID = generate_uid(entropy_srcs=[series])
    copy.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(one.SOPInstanceUID)])
    copy.SeriesDescription = series
    return copy


def _pet_header(pet: list[Dataset]) -> PetHeader:
    return pet_header([Tags(one, "series 7") for one in pet], where="series 7")


def _shift(pet: list[Dataset]) -> None:
    pet[3].ImagePositionPatient[2] += 0.5


def _double(pet: list[Dataset]) -> None:
    pet[3].ImagePositionPatient = pet[2].ImagePositionPatient


def _cut(pet: list[Dataset]) -> None:
    del pet[0]


def _gap(pet: list[Dataset]) -> None:
    del pet[2]


def _two_weights(pet: list[Dataset]) -> None:
    pet[2].PatientWeight = "81"


def _other_size(pet: list[Dataset]) -> None:
    pet[2].Rows, pet[2].PixelData = 5, pet[2].PixelData[: 5 * 8 * 2]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (drop_all("Units"), "Units (0054,1001)"),
        (set_all("Units", "PROPCPS"), "Units (0054,1001)"),
        (set_all("CorrectedImage", ["ATTN"]), "lacks DECY"),
        (set_all("CorrectedImage", ["DECY"]), "lacks ATTN"),
        (set_all("DecayCorrection", "NONE"), "holds DECY, but DecayCorrection (0054,1102) is NONE"),
        (set_all("DecayCorrection", "LATER"), "DecayCorrection (0054,1102) is 'LATER'"),
        (drop_all("PatientWeight"), "PatientWeight (0010,1030)"),
        (set_all("PatientWeight", "0"), "PatientWeight (0010,1030)"),
        (drop_all("RadiopharmaceuticalInformationSequence"), "RadionuclideTotalDose (0018,1074)"),
        (set_dose("RadionuclideTotalDose", "300"), "perhaps it is in MBq"),
        (set_dose("RadionuclideHalfLife", ""), "RadionuclideHalfLife (0018,1075)"),
        (set_dose("RadiopharmaceuticalStartTime", ""), "RadiopharmaceuticalStartTime (0018,1072)"),
        (set_dose("RadiopharmaceuticalStartTime", "120000"), "was scanned 1380 min after"),
        (_two_weights, "different PatientWeight (0010,1030) (80, 81)"),
        (set_all("NumberOfSlices", 9), "has 5 of 9 slices"),
        (_cut, "has 4 of 5 slices"),
        (_shift, "2.50 to 3.50 mm apart"),
        (_double, "several slices in one place"),
        (_other_size, "different Rows (0028,0010)"),
        (drop_all("PixelData"), "has no PixelData (7FE0,0010)"),
        (drop_all("ImagePositionPatient"), "ImagePositionPatient (0020,0032)"),
    ],
)
def test_wrong_series_is_refused_by_name(
    write_dicom: Callable[..., Path], pet: list[Dataset], change: Callable[[list[Dataset]], None], named: str
) -> None:
    change(pet)
    with pytest.raises(InputError) as refused:
        load_dicom_study(write_dicom(pet), key=KEY)
    assert named in str(refused.value)
    assert "4711" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_missing_slice_is_refused_with_its_place(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    _gap(pet)
    drop_all("NumberOfSlices")(pet)
    with pytest.raises(InputError, match=r"misses 1 slices between -97\.0 and -91\.0 mm"):
        load_dicom_study(write_dicom(pet), key=KEY)


def test_two_series_are_not_guessed_between(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    other = [_renamed(one, "PET Q.Clear") for one in pet]
    with pytest.raises(InputError, match=r"holds 2 PET series: .*PET AC.*PET Q\.Clear"):
        load_dicom_study(write_dicom(pet, other), key=KEY)


def test_folder_without_pet_is_refused(write_dicom: Callable[..., Path], ct: list[Dataset]) -> None:
    with pytest.raises(InputError, match=r"holds no PET series \(only CT\)"):
        load_dicom_study(write_dicom(ct), key=KEY)


def test_folder_without_dicom_is_refused(write_dicom: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="holds no DICOM image"):
        load_dicom_study(write_dicom([]), key=KEY)


def test_truncated_file_is_refused(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    folder = write_dicom(pet)
    damaged = sorted(folder.rglob("IM*"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"PixelData \(7FE0,0010\) has 76 bytes instead of 96"):
        load_dicom_study(folder, key=KEY)


def test_gated_series_is_refused(write_dicom: Callable[..., Path], pet: list[Dataset]) -> None:
    again = deepcopy(pet)
    for one in again:
        one.SOPInstanceUID = generate_uid()
    with pytest.raises(InputError, match="several slices in one place"):
        load_dicom_study(write_dicom(pet + again), key=KEY)


def test_private_tags_of_both_vendors_are_found(pet: list[Dataset]) -> None:
    for one in pet:
        one.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20240131105500.00")
        philips = one.private_block(0x7053, "Philips PET Private Group", create=True)
        philips.add_new(0x00, "DS", "0.000728")
        philips.add_new(0x09, "UN", b"1.602563 ")
    header = _pet_header(pet)
    assert (header.vendor_start, header.vendor_tag) == (datetime(2024, 1, 31, 10, 55), "GE (0009,100D)")
    assert (header.philips_suv, header.philips_bqml) == (0.000728, 1.602563)


def test_date_and_time_with_an_offset_are_local(pet: list[Dataset]) -> None:
    set_dose("RadiopharmaceuticalStartDateTime", "20240131095959.5+0100")(pet)
    assert _pet_header(pet).injected == datetime(2024, 1, 31, 9, 59, 59, 500000)
    set_all("TimezoneOffsetFromUTC", "+0200")(pet)
    assert _pet_header(pet).injected == datetime(2024, 1, 31, 10, 59, 59, 500000)
