"""SEG and RTSTRUCT files of known content, for the tests of the contour reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import (
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    generate_uid,
)

from fedpsma.io.nifti import Volume
from fedpsma.io.orientation import to_working_orientation

FRAME = str(generate_uid(entropy_srcs=["contour tests"]))
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
PRIMARY = Code("372087000", "SCT", "Neoplasm, Primary")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LIVER = Code("10200004", "SCT", "Liver")
ORGAN = Code("91723000", "SCT", "Anatomical Structure")


def lps_affine(
    rows_to: Sequence[float], columns_to: Sequence[float], edges: tuple[float, float, float], origin: Sequence[float]
) -> NDArray[np.float64]:
    """The affine (slice, row, column) in LPS of images with an ImageOrientationPatient; edges in the same order."""
    along_row, along_column = np.array(rows_to, float), np.array(columns_to, float)
    affine = np.eye(4)
    affine[:3, 0] = np.cross(along_row, along_column) * edges[0]
    affine[:3, 1] = along_column * edges[1]
    affine[:3, 2] = along_row * edges[2]
    affine[:3, 3] = origin
    return affine


def pet_grid(shape: tuple[int, int, int], affine_lps: NDArray[np.float64]) -> Volume:
    """An empty PET as the importer would give it for images of this geometry."""
    return Volume(*to_working_orientation(np.zeros(shape, np.float32), LPS_TO_RAS @ affine_lps))


def source_images(shape: tuple[int, int, int], affine: NDArray[np.float64]) -> list[Dataset]:
    """PET images (slice, row, column) without pixels that a SEG can refer to."""
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    images = []
    for index in range(shape[0]):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.SOPClassUID = PositronEmissionTomographyImageStorage
        one.SOPInstanceUID = generate_uid(entropy_srcs=["image", str(index)])
        one.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
        one.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
        one.FrameOfReferenceUID, one.Modality = FRAME, "PT"
        one.PatientID, one.PatientName = "MRN-4711", "Muster^Max"
        one.PatientBirthDate = one.PatientSex = one.AccessionNumber = one.StudyID = ""
        one.StudyDate = one.StudyTime = ""
        one.Rows, one.Columns = shape[1:]
        one.PixelSpacing = [float(edges[1]), float(edges[2])]
        one.SliceThickness = float(edges[0])
        one.ImageOrientationPatient = [*(affine[:3, 2] / edges[2]), *(affine[:3, 1] / edges[1])]
        one.ImagePositionPatient = list(affine[:3, 3] + index * affine[:3, 0])
        images.append(one)
    return images


def segment(number: int, label: str, kind: Code = PRIMARY, category: Code = ABNORMAL) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(number, label, category, kind, hd.seg.SegmentAlgorithmTypeValues.MANUAL)


def write_seg(
    path: Path,
    masks: NDArray[np.generic],
    affine: NDArray[np.float64],
    segments: Sequence[hd.seg.SegmentDescription],
    *,
    kind: str = "BINARY",
) -> Path:
    """Write masks (slice, row, column, segment) with highdicom; fractions where ``kind`` is FRACTIONAL."""
    stored = hd.seg.Segmentation(
        source_images(masks.shape[:3], affine),
        masks,
        kind,
        segments,
        series_instance_uid=generate_uid(entropy_srcs=[path.name]),
        series_number=1,
        sop_instance_uid=generate_uid(entropy_srcs=[path.name, "instance"]),
        instance_number=1,
        manufacturer="tests",
        manufacturer_model_name="tests",
        software_versions="1",
        device_serial_number="1",
    )
    stored.save_as(path)
    return path


def region(
    number: int,
    name: str,
    rings: Sequence[NDArray[np.float64]],
    *,
    interpreted: str = "GTV",
    geometric: str = "CLOSED_PLANAR",
    frame: str = FRAME,
) -> dict[str, object]:
    """One region of interest: rings (n, 3) in mm, LPS."""
    return {
        "number": number,
        "name": name,
        "rings": rings,
        "interpreted": interpreted,
        "geometric": geometric,
        "frame": frame,
    }


def write_rtstruct(path: Path, *regions: dict[str, object]) -> Path:
    """Write an RTSTRUCT with the regions."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    one.Modality, one.PatientName, one.StructureSetLabel = "RTSTRUCT", "Muster^Max", "contours"
    one.StructureSetROISequence = [
        _dataset(ROINumber=each["number"], ROIName=each["name"], ReferencedFrameOfReferenceUID=each["frame"])
        for each in regions
    ]
    one.ROIContourSequence = [
        _dataset(
            ReferencedROINumber=each["number"],
            ContourSequence=[_contour(ring, str(each["geometric"])) for ring in each["rings"]],  # type: ignore[attr-defined]
        )
        for each in regions
    ]
    one.RTROIObservationsSequence = [
        _dataset(
            ObservationNumber=each["number"],
            ReferencedROINumber=each["number"],
            RTROIInterpretedType=each["interpreted"],
            ROIInterpreter="",
        )
        for each in regions
    ]
    one.save_as(path, enforce_file_format=True)
    return path


def _contour(ring: NDArray[np.float64], geometric: str) -> Dataset:
    return _dataset(
        ContourGeometricType=geometric,
        NumberOfContourPoints=len(ring),
        ContourData=[f"{value:.4f}" for value in np.asarray(ring).ravel()],
    )


def _dataset(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made
