"""Which studies an archive holds (QIDO-RS)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom import Dataset

from fedpsma.errors import InputError
from fedpsma.io.dicom.tags import Tags
from fedpsma.io.dicomweb.client import Pacs, asking

MOST_STUDIES = 100
_FIELDS = ("StudyDescription", "ModalitiesInStudy", "NumberOfStudyRelatedInstances")


@dataclass(frozen=True)
class StudyQuery:
    """What to look for; at least the patient or a date has to be told, so that nobody lists a whole archive."""

    patient_id: str | None = None
    since: date | None = None
    until: date | None = None
    modality: str = "PT"


@dataclass(frozen=True)
class ArchivedStudy:
    """A study of an archive, for the screen of who asked: ``patient_id`` and ``description`` may name the patient."""

    uid: str
    patient_id: str | None
    date: str | None
    description: str | None
    modalities: tuple[str, ...]
    images: int | None


@dataclass(frozen=True)
class Answer:
    """The studies found, newest first; ``cut`` says that there are more."""

    studies: tuple[ArchivedStudy, ...]
    cut: bool


def find_archived(pacs: Pacs, query: StudyQuery, *, most: int = MOST_STUDIES) -> Answer:
    """Ask an archive for studies.

    Raises:
        InputError: The query names neither patient nor date, or the archive cannot be asked.
    """
    if query.patient_id is None and query.since is None and query.until is None:
        raise InputError("would list the whole archive", where="the query", remedy="give a patient or a date")
    filters = {"ModalitiesInStudy": query.modality}
    if query.patient_id is not None:
        filters["PatientID"] = query.patient_id
    if query.since is not None or query.until is not None:
        filters["StudyDate"] = _range(query.since, query.until)
    with asking(pacs):
        found = pacs.web.search_for_studies(search_filters=filters, fields=_FIELDS, limit=most + 1)
        studies = [_study(row, pacs.url) for row in found]
    studies.sort(key=lambda one: (one.date or "", one.uid), reverse=True)
    return Answer(tuple(studies[:most]), len(studies) > most)


def answered_tags(row: dict[str, Any], where: str) -> Tags:
    """Return one row of an answer (DICOM JSON) as tags."""
    return Tags(Dataset.from_json(row), where)


def _range(since: date | None, until: date | None) -> str:
    """Write a range of dates as DICOM does, open where an end is not told.

    Example:
        >>> _range(date(2026, 1, 5), None), _range(date(2026, 1, 5), date(2026, 1, 5))
        ('20260105-', '20260105-20260105')
    """
    return "-".join("" if one is None else one.strftime("%Y%m%d") for one in (since, until))


def _study(row: dict[str, Any], where: str) -> ArchivedStudy:
    tags = answered_tags(row, where)
    images = tags.number("NumberOfStudyRelatedInstances")
    return ArchivedStudy(
        uid=tags.text("StudyInstanceUID") or "",
        patient_id=tags.text("PatientID"),
        date=tags.text("StudyDate"),
        description=tags.text("StudyDescription"),
        modalities=tags.texts("ModalitiesInStudy"),
        images=None if images is None else int(images),
    )
