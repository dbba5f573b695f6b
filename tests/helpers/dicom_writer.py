"""A study written as a hospital exports it: PET in Bq/ml with one slope a slice, CT in HU, slices in any direction."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from dicom_series import blank_image
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import generate_uid

from fedpsma.domain.study import Study

WEIGHT_KG, DOSE_BQ, HALF_LIFE_S, UPTAKE_S = 80.0, 250e6, 6586.2, 3600.0
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_dicom_study(folder: Path, study: Study, axes: str = "LPS") -> None:
    """Write PET (of a fluorine-18 tracer) and CT.

    ``axes`` names where columns, rows and slices run to, such as "LPS" or "RPI" (feet first).
    """
    names = {
        "study": generate_uid(entropy_srcs=[study.study_id, axes]),
        "frame": generate_uid(entropy_srcs=["frame"]),
        "tracer": str(study.tracer),
    }
    bq_per_suv = DOSE_BQ * 2 ** (-UPTAKE_S / HALF_LIFE_S) / (WEIGHT_KG * 1000)
    _write_series(folder / "PET", study.pet * np.float32(bq_per_suv), study, axes, names)
    if study.ct is not None:
        _write_series(folder / "CT", study.ct, study, axes, names)


def _write_series(folder: Path, data: NDArray[np.float32], study: Study, axes: str, names: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(study.affine), nib.orientations.axcodes2ornt(tuple(axes))
    )
    turned = nib.orientations.apply_orientation(data, turn)
    affine = _RAS_TO_LPS @ study.affine @ nib.orientations.inv_ornt_aff(turn, data.shape)
    series = generate_uid(entropy_srcs=[names["study"], folder.name])
    # Files are named against the order of the slices, as exports may do.
    for index in range(turned.shape[2]):
        one = _image(folder.name, affine, index, names, series)
        _set_pixels(one, turned[:, :, index])
        one.save_as(folder / f"{turned.shape[2] - index:04d}", enforce_file_format=True)


def _image(kind: str, affine: NDArray[np.float64], index: int, names: dict[str, str], series: str) -> Dataset:
    one = blank_image("PT" if kind == "PET" else "CT", series, index, (1.0, 1.0, 1.0))
    one.StudyInstanceUID, one.FrameOfReferenceUID, one.SeriesInstanceUID = names["study"], names["frame"], series
    one.SeriesDescription, one.PatientWeight = kind, WEIGHT_KG
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / spacing
    one.ImageOrientationPatient = [*directions[:, 0], *directions[:, 1]]
    one.ImagePositionPatient = [round(value, 6) for value in (affine @ [0, 0, index, 1])[:3]]
    one.PixelSpacing, one.SliceThickness = [spacing[1], spacing[0]], spacing[2]
    if kind == "PET":
        _set_clock(one, names["tracer"])
    return one


def _set_clock(one: Dataset, tracer: str) -> None:
    one.Units, one.DecayCorrection, one.CorrectedImage = "BQML", "START", ["DECY", "ATTN"]
    one.SeriesDate = one.AcquisitionDate = "20260105"
    one.SeriesTime = one.AcquisitionTime = "110000"
    item = Dataset()
    item.RadiopharmaceuticalStartTime, item.RadionuclideTotalDose = "100000", DOSE_BQ
    item.RadionuclideHalfLife, item.Radiopharmaceutical = HALF_LIFE_S, tracer
    one.RadiopharmaceuticalInformationSequence = [item]


def _set_pixels(one: Dataset, columns_by_rows: NDArray[np.float32]) -> None:
    slope = max(float(np.abs(columns_by_rows).max()), 1.0) / 32000
    one.RescaleSlope, one.RescaleIntercept = f"{slope:.10g}", "0"
    stored = np.rint(columns_by_rows.T / float(one.RescaleSlope)).astype("<i2")
    one.Rows, one.Columns = stored.shape
    one.PixelData = stored.tobytes()
