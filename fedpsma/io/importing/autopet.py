"""The public autoPET data: what case names and metadata say, and the NIfTI folders of their FDG collection.

The collections' names are published pseudonyms. Sources: the records "FDG-PET-CT-Lesions" (The Cancer Imaging Archive)
and "PSMA-FDG-PET-CT-Lesions" (FDAT, University of Tuebingen).
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.files import read_text
from fedpsma.io.importing.nifti_study import NiftiStudy, declared_suv, read_nifti_study
from fedpsma.io.importing.source import StudySource
from fedpsma.io.provenance import TracerRecord
from fedpsma.io.radiopharmaceutical import RadiopharmaceuticalHeader, radionuclide

METADATA_FILE = "psma_metadata.csv"
SUV_BY_COLLECTION = "SUVbw, as the autoPET collection declares its PET"
_CASE = re.compile(r"(psma|fdg)_([0-9a-z]+)_(.+)", re.IGNORECASE)
_COLUMNS = ("Subject ID", "Study Date", "pet_radionuclide", "manufacturer_model_name")
_DATES = ((r"\d{4}-\d{2}-\d{2}", "%Y-%m-%d"), (r"\d{2}-\d{2}-\d{4}", "%m-%d-%Y"))


@dataclass(frozen=True)
class AutopetCase:
    """What the name of a case says: ``psma_PATIENT_DATE`` or ``fdg_PATIENT_DATE-DESCRIPTION``."""

    family: Literal["psma", "fdg"]
    patient: str
    date: str | None


@dataclass(frozen=True)
class PsmaMetadata:
    """One line of ``psma_metadata.csv``; ``radionuclide`` is "F-18" or "Ga-68"."""

    radionuclide: str | None
    scanner: str | None


def parse_case(case: str) -> AutopetCase | None:
    """Read the name of an autoPET case; ``None`` for any other.

    Example:
        >>> parse_case("psma_95b833d46f153cd2_2018-04-16")
        AutopetCase(family='psma', patient='psma_95b833d46f153cd2', date='2018-04-16')
        >>> parse_case("fdg_0011f3deaf_03-23-2003-NA-PET-CT-12345").date
        '2003-03-23'
    """
    found = _CASE.fullmatch(case)
    if found is None:
        return None
    family: Literal["psma", "fdg"] = "psma" if found[1].lower() == "psma" else "fdg"
    return AutopetCase(family, f"{family}_{found[2].lower()}", _date(found[3]))


def fdg_record(evidence: str) -> TracerRecord:
    """Record 18F-FDG, which every study of the FDG cohort has."""
    return TracerRecord(tracer=Tracer.FDG, radionuclide="F-18", decided_by="sidecar", evidence=evidence)


def safe_id(name: str) -> str:
    """Turn a case name with blanks and the like into one that is a safe file name.

    Example:
        >>> safe_id("fdg_01140d52d8_08-13-2005-NA-PET-CT Ganzkoerper  primaer mit KM-56839")
        'fdg_01140d52d8_08-13-2005-NA-PET-CT-Ganzkoerper-primaer-mit-KM-56839'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")


def read_psma_metadata(folder: Path) -> dict[str, PsmaMetadata]:
    """Read ``psma_metadata.csv`` where it lies in the folder, by the case's name in lower case.

    Raises:
        InputError: The file lacks a column.
    """
    path = folder / METADATA_FILE
    if not path.is_file():
        return {}
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path).removeprefix("\ufeff"), newline=""), strict=True))
    except csv.Error as error:
        raise InputError(f"is not CSV: {error}", where=str(path), remedy="copy it again") from error
    missing = [name for name in _COLUMNS if rows and name not in rows[0]]
    if missing:
        raise InputError(f"lacks the column {missing[0]}", where=str(path), remedy="copy it again, or remove it")
    return {f"{row['Subject ID']}_{row['Study Date']}".lower(): _metadata(row) for row in rows}


def find_autopet_folders(folder: Path) -> tuple[StudySource, ...]:
    """Find ``PETCT_PATIENT/STUDY/SUV.nii.gz`` with ``CTres.nii.gz`` and ``SEG.nii.gz`` beside it."""
    return tuple(_source(pet) for pet in sorted(folder.glob("PETCT_*/*/SUV.nii.gz")))


def _source(pet: Path) -> StudySource:
    patient, visit = pet.parent.parent.name, pet.parent.name
    ct, mask = (pet.with_name(name) for name in ("CTres.nii.gz", "SEG.nii.gz"))
    parts = NiftiStudy(
        study_id=safe_id(f"{patient}_{visit}"),
        patient_id=patient,
        pet=pet,
        suv=declared_suv(SUV_BY_COLLECTION),
        ct=ct,
        mask=mask,
        tracer=fdg_record("FDG-PET-CT-Lesions"),
        date=_date(visit),
    )
    return StudySource(str(pet.parent), parts.study_id, patient, partial(read_nifti_study, parts))


def _metadata(row: dict[str, str]) -> PsmaMetadata:
    nuclide, model = (row[name] or "" for name in ("pet_radionuclide", "manufacturer_model_name"))
    return PsmaMetadata(radionuclide(RadiopharmaceuticalHeader(nuclide_meaning=nuclide.strip())), model.strip() or None)


def _date(text: str) -> str | None:
    """Read the day at the start of a text, as ISO 8601; the collections write month-day-year and year-month-day."""
    for pattern, form in _DATES:
        found = re.match(pattern, text)
        if found:
            try:
                return datetime.strptime(found[0], form).date().isoformat()
            except ValueError:
                return None
    return None
