"""The DICOM studies below a folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from fedpsma.errors import InputError
from fedpsma.io.dicom.convert import DicomOptions, convert_study, study_ids
from fedpsma.io.dicom.find import DamagedFile, find_studies
from fedpsma.io.importing.source import StudySource


def find_dicom_studies(
    folder: Path, options: DicomOptions, on_file: Callable[[int, int], None] | None = None
) -> tuple[tuple[StudySource, ...], tuple[DamagedFile, ...]]:
    """Find every study with a PET below a folder, in any nesting, under the pseudonyms of the site's key.

    Args:
        folder: Any folder.
        options: Key, tracer, choice of series and contours, what becomes of dates.
        on_file: Called after each file with the number done and the number of all.

    Returns:
        The studies, and the DICOM files that cannot be read.

    Raises:
        InputError: The folder does not exist, or holds no PET study.
    """
    found = find_studies(folder, on_file)
    studies = [study for study in found.studies if study.pet]
    if not studies and not found.damaged:
        other = f"{len(found.studies)} DICOM studies, none with a PET" if found.studies else "no DICOM image"
        raise InputError(f"holds {other}", where=str(folder), remedy="name the folder of the exported PET studies")
    sources = []
    for study in studies:
        study_id, patient_id = study_ids(study, options.key)
        sources.append(StudySource(study.name, study_id, patient_id, partial(convert_study, study, options)))
    return tuple(sources), found.damaged
