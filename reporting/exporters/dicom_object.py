"""What DICOM objects of a report share: stable UIDs, who made them, and how they say that they are a draft."""

from __future__ import annotations

import hashlib
import io

from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.uid import generate_uid

from fedpsma import __version__
from reporting.exporters.codes import Coded
from reporting.exporters.frame import printable
from reporting.exporters.report import Report, content_sha256
from reporting.phrases import phrases

MAKER = "fedpsma"
SERIAL = "none"
RESEARCH_NOTE = "research use, not for clinical use"
"""Stands in every series description, which holds 64 characters; the full mark stands inside the objects."""


def object_uid(report: Report, kind: str) -> str:
    """Return the UID of an object: the same content gives the same one, so that sending twice stores once."""
    images = report.images
    assert images is not None
    voxels = hashlib.sha256(images.lesion_labels.tobytes()).hexdigest()
    series = str(report.source.headers[0].SeriesInstanceUID)
    signed = report.sign_off.model_dump_json() if report.sign_off else report.state
    return str(generate_uid(entropy_srcs=[kind, series, content_sha256(report.exam, report.draft), voxels, signed]))


def tracking_uid(report: Report, lesion_id: str) -> str:
    """Return the UID under which a lesion of this PET series is tracked, the same in every export."""
    series = str(report.source.headers[0].SeriesInstanceUID)
    return str(generate_uid(entropy_srcs=["lesion", series, lesion_id]))


def series_description(report: Report, what: str) -> str:
    """Return the series description (LO, 64 characters); it begins with DRAFT unless somebody signed."""
    return f"{_state(report)} {what}; {RESEARCH_NOTE}"[:64]


def full_mark(report: Report) -> str:
    """Return state and mark in full; in English, as the codes of the objects are."""
    words = phrases("en")
    return f"{words.word('document', 'title')}: {_state(report)}. {words.word('document', 'mark')}"


def _state(report: Report) -> str:
    return report.state.upper() if report.signed else "DRAFT"


def concept(code: Coded) -> CodedConcept:
    """Return a code as DICOM writes it: a value beyond 16 characters as Long Code Value, the meaning cut to 64."""
    return CodedConcept(code.value, code.scheme, long_string(code.meaning), scheme_version=code.version)


def long_string(text: str) -> str:
    r"""Return a text as a DICOM Long String (LO): 64 characters, one value, nothing that steers a screen.

    Example:
        >>> long_string("L1\\2\nleft rib")
        'L1/2 left rib'
    """
    return printable(text).replace("\\", "/")[:64]


def person_name(who: str) -> str:
    r"""Return a name as it was typed, without the signs that divide a DICOM name.

    Example:
        >>> person_name("Dr. A. Reader \\ B=C^D")
        'Dr. A. Reader B C D'
    """
    return " ".join(who.translate(str.maketrans("\\^=", "   ")).split())


def file_bytes(dataset: Dataset) -> bytes:
    """Return an object as a DICOM file with its preamble.

    Text goes out as UTF-8: the character set of the source may hold the patient's name and not that of the reader.
    """
    dataset.SpecificCharacterSet = "ISO_IR 192"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def version() -> str:
    """Return the software version as objects carry it."""
    return __version__
