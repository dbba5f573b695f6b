"""The same PET in every form in which archives store it: compressed, multi-frame, without a file header."""

from __future__ import annotations

from pathlib import Path

import gdcm
import highdicom
import numpy as np
import pytest
from dicom_series import save, set_all, set_dose, siemens_slices
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless, RLELossless, generate_uid

from fedpsma.domain.study import Study
from fedpsma.errors import InputError
from fedpsma.io.dicom.study import load_dicom_study
from fedpsma.io.dicom.tags import read_image

KEY = bytes(32)
ENHANCED_PET = "1.2.840.10008.5.1.4.1.1.130"


@pytest.fixture
def slices() -> list[Dataset]:
    slices = siemens_slices()
    for one in slices:
        one.StudyDate, one.StudyTime, one.ContentDate, one.ContentTime = "20240131", "1000", "20240131", "1100"
        one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.StudyID = one.ReferringPhysicianName = ""
    return slices


def _enlarge(slices: list[Dataset]) -> None:
    """Give the encoders an image that is large enough for their blocks."""
    for one in slices:
        pixels = np.kron(np.frombuffer(one.PixelData, "<i2").reshape(one.Rows, one.Columns), np.ones((8, 8)))
        one.Rows, one.Columns = pixels.shape
        one.PixelData = pixels.astype("<i2").tobytes()


def _same(one: Study, other: Study) -> None:
    assert np.array_equal(one.pet, other.pet)
    assert one.affine == pytest.approx(other.affine, abs=1e-9)


def _transcode(path: Path, syntax: int) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize("uid", [RLELossless, JPEGLSLossless])
def test_run_length_and_jpeg_ls(tmp_path: Path, slices: list[Dataset], uid: str) -> None:
    plain = load_dicom_study(save(tmp_path / "plain", slices), key=KEY)
    for one in slices:
        one.compress(uid)
    _same(load_dicom_study(save(tmp_path / "packed", slices), key=KEY), plain)


@pytest.mark.parametrize(
    "name", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"]
)
def test_lossless_jpeg_and_jpeg_2000(tmp_path: Path, slices: list[Dataset], name: str) -> None:
    _enlarge(slices)
    plain = load_dicom_study(save(tmp_path / "plain", slices), key=KEY)
    folder = save(tmp_path / "packed", slices)
    for path in folder.iterdir():
        _transcode(path, getattr(gdcm.TransferSyntax, name))
        assert dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    _same(load_dicom_study(folder, key=KEY), plain)


@pytest.mark.parametrize("name", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"])
def test_damaged_stream_does_not_take_the_process_down(tmp_path: Path, slices: list[Dataset], name: str) -> None:
    """Each of these decoders aborts, or writes beyond its memory, on some damaged streams."""
    _enlarge(slices)
    path = save(tmp_path, slices[:1]) / "IM000"
    _transcode(path, getattr(gdcm.TransferSyntax, name))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    start, reasons = whole.index(b"\xe0\x7f\x10\x00"), []
    for _ in range(12):
        content = bytearray(whole)
        for place in rng.integers(start + 32, min(start + 200, len(whole)), 4):
            content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            assert read_image(path)[1].shape == (1, 48, 64)
        except InputError as error:
            reasons.append(error.what)
    assert reasons
    assert all(reason.startswith("cannot be decoded from JPEG") for reason in reasons)
    path.write_bytes(whole)
    assert read_image(path)[1].shape == (1, 48, 64)


def test_unknown_compression_is_refused_by_its_name(tmp_path: Path, slices: list[Dataset]) -> None:
    for one in slices:
        one.compress(RLELossless)
        one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    with pytest.raises(InputError, match=r"cannot be decoded from MPEG-4 AVC/H.264 High Profile"):
        load_dicom_study(save(tmp_path, slices), key=KEY)


def test_files_without_a_part_10_header(tmp_path: Path, slices: list[Dataset]) -> None:
    plain = load_dicom_study(save(tmp_path / "plain", slices), key=KEY)
    folder = tmp_path / "old"
    folder.mkdir()
    for index, one in enumerate(slices):
        del one.file_meta
        one.save_as(folder / f"{index}", implicit_vr=True, little_endian=True)
        assert (folder / f"{index}").read_bytes()[:4] == b"\x08\x00\x08\x00"
    _same(load_dicom_study(folder, key=KEY), plain)


def test_legacy_converted_enhanced_pet_equals_its_slices(tmp_path: Path, slices: list[Dataset]) -> None:
    plain = load_dicom_study(save(tmp_path / "plain", slices), key=KEY)
    legacy = highdicom.legacy.LegacyConvertedEnhancedPETImage(
        slices, series_instance_uid=generate_uid(), series_number=9, sop_instance_uid=generate_uid(), instance_number=1
    )
    _same(load_dicom_study(save(tmp_path / "legacy", [legacy]), key=KEY), plain)


def _enhanced(slices: list[Dataset], decayed: bool = True) -> Dataset:
    """An enhanced PET with the frames of a classic one, decay corrected to 11:00."""
    first = slices[0]
    one = Dataset()
    one.file_meta = first.file_meta
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = ENHANCED_PET
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for keyword in ("Modality", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID", "Rows",
                    "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
                    "PixelRepresentation", "PatientWeight", "SeriesDate", "SeriesTime",
                    "RadiopharmaceuticalInformationSequence"):  # fmt: skip
        setattr(one, keyword, getattr(first, keyword))
    set_dose("RadiopharmaceuticalStartDateTime", "20240131100000")(slices)
    one.AttenuationCorrected, one.DecayCorrected = "YES", "YES" if decayed else "NO"
    if decayed:
        one.DecayCorrectionDateTime = "20240131110000"
    one.NumberOfFrames = len(slices)
    one.PixelData = b"".join(each.PixelData for each in slices)
    one.SharedFunctionalGroupsSequence = [_shared(first)]
    one.PerFrameFunctionalGroupsSequence = [_frame(each) for each in slices]
    return one


def _shared(first: Dataset) -> Dataset:
    groups, spacing, plane = Dataset(), Dataset(), Dataset()
    spacing.PixelSpacing = first.PixelSpacing
    plane.ImageOrientationPatient = first.ImageOrientationPatient
    groups.PixelMeasuresSequence, groups.PlaneOrientationSequence = [spacing], [plane]
    return groups


def _frame(one: Dataset) -> Dataset:
    groups, content, place, mapping, unit = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    content.FrameAcquisitionDateTime = f"{one.AcquisitionDate}{one.AcquisitionTime}"
    content.FrameAcquisitionDuration = float(one.ActualFrameDuration)
    place.ImagePositionPatient = one.ImagePositionPatient
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "Bq/ml", "UCUM", "Becquerels/milliliter"
    mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = float(one.RescaleSlope), 0.0
    mapping.MeasurementUnitsCodeSequence = [unit]
    groups.FrameContentSequence, groups.PlanePositionSequence = [content], [place]
    groups.RealWorldValueMappingSequence = [mapping]
    return groups


def test_enhanced_pet_equals_its_slices(tmp_path: Path, slices: list[Dataset]) -> None:
    plain = load_dicom_study(save(tmp_path / "plain", slices), key=KEY)
    enhanced = load_dicom_study(save(tmp_path / "enhanced", [_enhanced(slices)]), key=KEY)
    assert enhanced.pet == pytest.approx(plain.pet, rel=1e-6)
    assert enhanced.affine == pytest.approx(plain.affine, abs=1e-9)
    assert enhanced.technique == plain.technique


def test_enhanced_pet_without_decay_correction(tmp_path: Path, slices: list[Dataset]) -> None:
    enhanced = load_dicom_study(save(tmp_path / "enhanced", [_enhanced(slices, decayed=False)]), key=KEY)
    set_all("DecayCorrection", "NONE")(slices)
    set_all("CorrectedImage", ["ATTN"])(slices)
    plain = load_dicom_study(save(tmp_path / "plain", slices), key=KEY)
    assert enhanced.pet == pytest.approx(plain.pet, rel=1e-6)


def test_enhanced_pet_without_units_or_frames_is_refused(tmp_path: Path, slices: list[Dataset]) -> None:
    unitless = _enhanced(slices)
    for frame in unitless.PerFrameFunctionalGroupsSequence:
        del frame.RealWorldValueMappingSequence
    with pytest.raises(InputError, match=r"has no usable RescaleSlope"):
        load_dicom_study(save(tmp_path / "a", [unitless]), key=KEY)
    short = _enhanced(slices)
    short.PerFrameFunctionalGroupsSequence = short.PerFrameFunctionalGroupsSequence[:4]
    with pytest.raises(InputError, match=r"has 4 items in PerFrameFunctionalGroupsSequence .* for 6 frames"):
        load_dicom_study(save(tmp_path / "b", [short]), key=KEY)
    doubled = _enhanced([*slices, *slices])
    with pytest.raises(InputError, match="several slices in one place"):
        load_dicom_study(save(tmp_path / "c", [doubled]), key=KEY)
