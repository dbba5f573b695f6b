"""A folder that holds one PET/CT study in DICOM becomes this study."""

from __future__ import annotations

from pathlib import Path

from fedpsma.domain.study import Study
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dicom.convert import DicomOptions, convert_study
from fedpsma.io.dicom.find import Found, find_studies


def load_dicom_study(folder: Path, *, key: bytes, tracer: Tracer | None = None) -> Study:
    """Read the one PET/CT study below a folder.

    The study's ids are pseudonyms under ``key``; its date stays, because a later study is compared by it.

    Args:
        folder: Holds the PET series, and the CT of the same study if there is one, in any nesting.
        key: The site's key for pseudonyms.
        tracer: What the user says the tracer is; otherwise the header decides, ``None`` where it does not tell.

    Raises:
        InputError: There is no PET, or more than one that could be meant; a tag that the SUV needs is missing; slices
            are missing, doubled or uneven; a file is damaged.
    """
    found = find_studies(folder)
    if not found.studies:
        raise _nothing(found, folder)
    studies = [study for study in found.studies if study.pet] or list(found.studies)
    if len(studies) > 1 and studies[0].pet:
        names = "; ".join(sorted(series.name for study in studies for series in study.pet))
        raise InputError(
            f"holds {len(studies)} studies with a PET: {names}", where=str(folder), remedy="leave the one to read there"
        )
    options = DicomOptions(key=key, tracer=tracer, dates="keep")
    return convert_study(studies[0], options).study


def _nothing(found: Found, folder: Path) -> InputError:
    if found.damaged:
        worst = found.damaged[0]
        return InputError(worst.reason, where=str(worst.path), remedy="export or copy it again")
    return InputError("holds no DICOM image", where=str(folder), remedy="name the folder of the exported study")
