"""Small DICOM series written from scratch, so that every header mistake can be tried."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage, generate_uid

ROWS, COLUMNS, SLICES = 6, 8, 5
STUDY, FRAME = generate_uid(entropy_srcs=["study"]), generate_uid(entropy_srcs=["frame"])


def _image(modality: str, series: str, index: int, spacing: tuple[float, float, float]) -> Dataset:
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
        one = _image("PT", series, index, (4.0, 4.0, 3.0))
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
        one = _image("CT", series, index, (2.0, 2.0, 1.5))
        one.SeriesNumber = 3
        one.RescaleSlope, one.RescaleIntercept = "1", "-1024"
        left_mm = -14.0 + 2.0 * np.arange(2 * COLUMNS)
        _fill(one, np.tile(1024 + 10 * left_mm, (2 * ROWS, 1)))
        slices.append(one)
    return slices


@pytest.fixture
def write_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write slices below a new folder, shuffled and nested, and return the folder."""
    counter = count()

    def write(*series: list[Dataset]) -> Path:
        folder = tmp_path / f"export{next(counter)}"
        for number, slices in enumerate(series):
            for index, one in enumerate(reversed(slices)):
                place = folder / f"disc{index % 2}" / f"s{number}"
                place.mkdir(parents=True, exist_ok=True)
                one.save_as(place / f"IM{index}", enforce_file_format=True)
        folder.mkdir(exist_ok=True)
        (folder / "readme.txt").write_text("not an image")
        return folder

    return write


@pytest.fixture
def pet() -> list[Dataset]:
    return pet_slices()


@pytest.fixture
def ct() -> list[Dataset]:
    return ct_slices()
