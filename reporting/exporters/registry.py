"""The formats by name, and the one way to make a file of any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Literal

from fedpsma.errors import InputError
from reporting.exporters.report import Export, Report

FormatName = Literal["text", "markdown", "docx", "pdf", "fhir", "csv", "seg", "sr", "dicom-pdf"]


@dataclass(frozen=True)
class Format:
    """One format: what it is called, the name of its file, and the module whose ``write`` makes it.

    ``module`` is imported when the format is asked for, since DICOM, DOCX and PDF need heavy packages.
    ``needs_dicom`` says that patient and study are copied from the headers of the PET series.
    """

    title: str
    file_name: str
    media_type: str
    module: str
    needs_dicom: bool = False


FORMATS: Mapping[FormatName, Format] = MappingProxyType(
    {
        "text": Format("Plain text", "report.txt", "text/plain; charset=utf-8", "text"),
        "markdown": Format("Markdown", "report.md", "text/markdown; charset=utf-8", "markdown"),
        "docx": Format(
            "Word document",
            "report.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "word",
        ),
        "pdf": Format("PDF", "report.pdf", "application/pdf", "pdf"),
        "fhir": Format("FHIR R4 DiagnosticReport", "report.fhir.json", "application/fhir+json", "fhir"),
        "csv": Format("Lesion table as CSV", "report.csv", "text/csv; charset=utf-8", "table_csv"),
        "seg": Format("DICOM Segmentation", "lesions.seg.dcm", "application/dicom", "dicom_seg", needs_dicom=True),
        "sr": Format("DICOM SR, TID 1500", "report.sr.dcm", "application/dicom", "dicom_sr", needs_dicom=True),
        "dicom-pdf": Format("PDF in DICOM", "report.pdf.dcm", "application/dicom", "dicom_pdf", needs_dicom=True),
    }
)


def export(report: Report, name: FormatName) -> Export:
    """Write a report in one format.

    Args:
        report: Draft, exam and, where there are any, signature, images and the folder of the DICOM series.
        name: A key of :data:`FORMATS`.

    Raises:
        InputError: The format needs images or DICOM headers that are not there, or that belong to another study.
    """
    chosen = FORMATS[name]
    if chosen.needs_dicom and (report.images is None or report.dicom is None):
        raise InputError(
            "copies patient and study from the headers of the PET, and no DICOM series is known for this report",
            where=chosen.title,
            remedy="give the analysis and, with --dicom, the folder of its PET series, or leave the format out",
        )
    content: bytes = import_module(f"reporting.exporters.{chosen.module}").write(report)
    return Export(chosen.file_name, content)
