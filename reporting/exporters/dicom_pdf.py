"""The PDF report as a DICOM object (Encapsulated PDF), so that it lies in the archive beside the images."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from fedpsma.io.dicom.tags import parsing
from reporting.exporters import pdf
from reporting.exporters.codes import standard
from reporting.exporters.dicom_object import MAKER, concept, file_bytes, object_uid, series_description, version
from reporting.exporters.frame import frame_of
from reporting.exporters.report import Report

SERIES_NUMBER = 9003
# Patient, Study and their modules as the Encapsulated Document IOD takes them over (DICOM PS3.3 A.45.1).
_COPIED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


def write(report: Report) -> bytes:
    """Return the PDF in DICOM; patient and study are copied from the PET.

    Raises:
        InputError: The series is not the one that was read, or its headers cannot be taken over.
    """
    return file_bytes(encapsulated(report, pdf.write(report)))


def encapsulated(report: Report, document: bytes) -> Dataset:
    """Wrap a PDF in a DICOM object (DICOM PS3.3 C.24.2)."""
    made, header = Dataset(), report.source.headers[0]
    with parsing(str(report.dicom), "has headers that a document cannot take over"):
        for keyword in _COPIED:
            if keyword in header:
                made[keyword] = header[keyword]
    made.SOPClassUID, made.SOPInstanceUID = EncapsulatedPDFStorage, object_uid(report, "pdf")
    made.SeriesInstanceUID = object_uid(report, "pdf series")
    made.Modality, made.ConversionType = "DOC", "WSD"
    made.SeriesNumber, made.InstanceNumber = SERIES_NUMBER, 1
    made.SeriesDescription = series_description(report, "report")
    made.Manufacturer = made.ManufacturerModelName = MAKER
    made.SoftwareVersions = version()
    made.ContentDate, made.ContentTime = report.created.strftime("%Y%m%d"), report.created.strftime("%H%M%S")
    made.AcquisitionDateTime = ""
    made.DocumentTitle = frame_of(report).title
    made.BurnedInAnnotation = "YES"
    made.ConceptNameCodeSequence = [concept(standard("imaging_report"))]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    made.EncapsulatedDocumentLength = len(document)
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made
