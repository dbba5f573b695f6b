"""From report folders to files: what ``fedpsma report export`` reads and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fedpsma.analysis_folder import PET_FILE, SUMMARY_FILE
from fedpsma.comparison.folder import read_examined
from fedpsma.comparison.study_pair import Examined
from fedpsma.domain.exam import Exam
from fedpsma.domain.study import LabelVolume, Study
from fedpsma.errors import InputError
from fedpsma.io.files import require_folder_or_nothing, write_bytes
from fedpsma.pictures.drawing import lesion_boxes
from reporting.exporters.registry import FORMATS, FormatName, export
from reporting.exporters.report import Images, Report
from reporting.report_folder import DRAFT_FILE, read_report

LABELS_FILE = "lesions.nii.gz"
REPORT_FOLDER = "report"
ALL = "all"
# A report lies in a reading, which lies in the analysis.
_LEVELS_UP = 2
# The table rounds SUVmax to a tenth, and an analysis rounds the PET that it keeps.
_SUVMAX_TOLERANCE = 0.06


def read_for_export(folder: Path, analysis: Path | None = None, dicom: Path | None = None) -> Report:
    """Read a report folder with its images.

    Args:
        folder: What ``fedpsma report draft`` wrote, or a reading of the page with its report inside.
        analysis: The analysis that the exam came from, for pictures and outlines; by default the folder round the
            report or the reading, where it is one.
        dicom: Folder with the PET series in DICOM.

    Raises:
        InputError: A file is missing or broken, the report was changed after signing, or the outlines are not those of
            the table.
    """
    inside = folder / REPORT_FOLDER
    place = inside if (inside / DRAFT_FILE).is_file() else folder
    report = read_report(place)
    around = (place, *place.absolute().parents[:_LEVELS_UP])
    found = analysis or next((one for one in around if _is_analysis(one)), None)
    images = None if found is None else read_images(found, report.exam)
    return replace(report, images=images, dicom=dicom)


def read_images(analysis: Path, exam: Exam) -> Images:
    """Read PET, CT and outlines of an analysis, and make sure that they are those of the table.

    Raises:
        InputError: The folder is no analysis, a file is broken, or the outlines belong to another table.
    """
    examined = read_examined(analysis)
    if examined.study.lesions is None:
        raise InputError("holds no outlines", where=str(analysis), remedy="name what fedpsma analyze wrote")
    labels = _renumbered(examined, exam)
    _require_own_lesions(exam, examined.study, labels, analysis)
    return Images(examined.study, labels, synthetic=examined.synthetic)


def formats_asked(names: Sequence[str], report: Report) -> tuple[FormatName, ...]:
    """Return the formats of a command line; ``all`` leaves out those that need a DICOM series where none is given.

    Raises:
        InputError: There is no such format.
    """
    known = tuple(FORMATS)
    for name in names:
        if name not in (*known, ALL):
            remedy = f"give one of {', '.join(known)}, or {ALL}"
            raise InputError(f"{name!r} is no format", where="--format", remedy=remedy)
    possible = [name for name in known if report.dicom is not None or not FORMATS[name].needs_dicom]
    return tuple(name for name in known if name in names or (ALL in names and name in possible))


def write_exports(report: Report, names: Sequence[FormatName], out: Path) -> tuple[Path, ...]:
    """Make every file first and write then, so that a refused format leaves nothing half-written.

    Raises:
        InputError: A format cannot be made of this report, or the folder cannot be written.
    """
    require_folder_or_nothing(out)
    made = [export(report, name) for name in names]
    for one in made:
        write_bytes(out / one.name, one.content)
    return tuple(out / one.name for one in made)


def _is_analysis(folder: Path) -> bool:
    return all((folder / name).is_file() for name in (SUMMARY_FILE, PET_FILE, LABELS_FILE))


def _renumbered(examined: Examined, exam: Exam) -> LabelVolume:
    """Give the outlines the numbers of the report: a reader may have left lesions out, or added some without one."""
    assert examined.study.lesions is not None
    place = {lesion.lesion_id: number for number, lesion in enumerate(exam.lesions, start=1)}
    most = max(int(examined.study.lesions.max(initial=0)), len(examined.exam.lesions))
    numbers = np.zeros(most + 1, np.int32)
    for number, lesion in enumerate(examined.exam.lesions, start=1):
        numbers[number] = place.get(lesion.lesion_id, 0)
    return np.asarray(numbers[examined.study.lesions])


def _require_own_lesions(exam: Exam, study: Study, numbers: LabelVolume, where: Path) -> None:
    """Refuse outlines whose hottest voxel is not the SUVmax of the table: they belong to another exam."""
    boxes = lesion_boxes(numbers, len(exam.lesions))
    for number, (lesion, box) in enumerate(zip(exam.lesions, boxes, strict=True), start=1):
        if box is None or lesion.suvmax is None:
            continue
        hottest = float(study.pet[box][numbers[box] == number].max())
        if abs(hottest - lesion.suvmax) > _SUVMAX_TOLERANCE:
            raise InputError(
                f"outline {number} has SUVmax {hottest:.1f}, but {lesion.lesion_id} of the report {lesion.suvmax:g}",
                where=str(where / LABELS_FILE),
                remedy="name the analysis that this exam came from",
            )
