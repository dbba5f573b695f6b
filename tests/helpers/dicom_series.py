"""Small DICOM series written from scratch, so that every header mistake can be tried."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

Change = Callable[[list[Dataset]], None]

ROWS, COLUMNS, SLICES = 6, 8, 5
STUDY, FRAME = generate_uid(entropy_srcs=["study"]), generate_uid(entropy_srcs=["frame"])


def blank_image(modality: str, series: str, index: int, spacing: tuple[float, float, float]) -> Dataset:
    """One axial slice; as in every DICOM image, columns grow to the patient's left and rows to posterior."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID = PositronEmissionTomographyImageStorage if modality == "PT" else CTImageStorage
    one.SOPInstanceUID = generate_uid(entropy_srcs=[series, str(index)])
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    one.Modality, one.StudyInstanceUID, one.FrameOfReferenceUID = modality, STUDY, FRAME
    one.SeriesInstanceUID = generate_uid(entropy_srcs=[series])
    one.SeriesNumber, one.SeriesDescription = 7, series
    one.PatientName, one.PatientID = "Muster^Max", "MRN-4711"
    one.ImageType = ["ORIGINAL", "PRIMARY"]
    one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    one.ImagePositionPatient = [-14.0, -10.0, -100.0 + index * spacing[2]]
    one.PixelSpacing = [spacing[1], spacing[0]]
    one.SliceThickness = spacing[2]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.PixelRepresentation = 15, 1
    return one


def _fill(one: Dataset, pixels: np.ndarray) -> None:
    one.Rows, one.Columns = pixels.shape
    one.PixelData = pixels.astype("<i2").tobytes()


def pet_slices(series: str = "PET AC") -> list[Dataset]:
    """An FDG PET of 5 slices; slice k has the rescale slope k + 1 and the stored value 100 everywhere.

    One voxel, at row 1, column 0 (the patient's right, towards the front) of slice 2, holds 1000.
    """
    slices = []
    for index in range(SLICES):
        one = blank_image("PT", series, index, (4.0, 4.0, 3.0))
        one.Units, one.DecayCorrection = "BQML", "START"
        one.CorrectedImage = ["DECY", "ATTN", "SCAT"]
        one.PatientWeight = "80"
        one.SeriesDate = one.AcquisitionDate = "20240131"
        one.SeriesTime, one.AcquisitionTime = "110000", f"1100{index:02d}"
        one.NumberOfSlices = SLICES
        one.RescaleSlope, one.RescaleIntercept = str(index + 1), "0"
        item = Dataset()
        item.Radiopharmaceutical = "Fluorodeoxyglucose"
        item.RadionuclideTotalDose = "300000000"
        item.RadionuclideHalfLife = "6586.2"
        item.RadiopharmaceuticalStartTime = "100000"
        one.RadiopharmaceuticalInformationSequence = [item]
        pixels = np.full((ROWS, COLUMNS), 100)
        if index == 2:
            pixels[1, 0] = 1000
        _fill(one, pixels)
        slices.append(one)
    return slices


def ct_slices(series: str = "CT") -> list[Dataset]:
    """A CT of half the voxel edge over the same field, whose HU grow by 10 a mm towards the patient's left."""
    slices = []
    for index in range(2 * SLICES):
        one = blank_image("CT", series, index, (2.0, 2.0, 1.5))
        one.SeriesNumber = 3
        one.RescaleSlope, one.RescaleIntercept = "1", "-1024"
        left_mm = -14.0 + 2.0 * np.arange(2 * COLUMNS)
        _fill(one, np.tile(1024 + 10 * left_mm, (2 * ROWS, 1)))
        slices.append(one)
    return slices


def siemens_slices(count: int = 6) -> list[Dataset]:
    """A PET as a Siemens scanner writes it: two beds of 120 s, 130 s apart, with reference time and decay factor."""
    slices, half_life = [], 6586.2
    mean_rate_s = 59.937
    for index in range(count):
        one = deepcopy(pet_slices()[0])
        late_s = 130 * (index // ((count + 1) // 2))
        one.Manufacturer, one.ManufacturerModelName = "SIEMENS", "Biograph64"
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["bed", str(index)])
        one.InstanceNumber, one.NumberOfSlices = index + 1, count
        one.ImagePositionPatient = [-14.0, -10.0, -100.0 + 3.0 * index]
        one.SliceLocation = str(-100.0 + 3.0 * index)
        one.RescaleSlope = "1.5"
        one.AcquisitionTime = f"1100{late_s:02d}" if late_s < 60 else f"11{late_s // 60:02d}{late_s % 60:02d}"
        one.ActualFrameDuration, one.FrameReferenceTime = 120_000, str(round(1000 * (late_s + mean_rate_s), 3))
        one.DecayFactor = f"{2 ** ((late_s + mean_rate_s) / half_life):.8g}"
        pixels = np.random.default_rng(index).integers(50, 3000, (ROWS, COLUMNS))
        _fill(one, pixels)
        slices.append(one)
    return slices


def set_all(keyword: str, value: object) -> Change:
    """Set a tag in every slice."""

    def change(slices: list[Dataset]) -> None:
        for one in slices:
            setattr(one, keyword, value)

    return change


def drop_all(keyword: str) -> Change:
    """Delete a tag in every slice."""

    def change(slices: list[Dataset]) -> None:
        for one in slices:
            delattr(one, keyword)

    return change


def set_dose(keyword: str, value: object) -> Change:
    """Set a tag of the radiopharmaceutical in every slice."""

    def change(slices: list[Dataset]) -> None:
        for one in slices:
            setattr(one.RadiopharmaceuticalInformationSequence[0], keyword, value)

    return change


def save(folder: Path, slices: list[Dataset]) -> Path:
    """Write slices into a folder as they come."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, one in enumerate(slices):
        one.save_as(folder / f"IM{index:03d}", enforce_file_format=True)
    return folder
