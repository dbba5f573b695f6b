"""A report folder: exam, assessment, draft and the readable report, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from fedpsma.io.dataset import parse_record
from fedpsma.io.exam_file import read_exam, write_record
from fedpsma.io.files import finished_folder, read_json, require_own_folder, write_bytes
from reporting.draft import Draft
from reporting.exporters.registry import FormatName, export
from reporting.exporters.report import Report, SignOff

DRAFT_FILE = "draft.json"
ASSESSMENT_FILE = "assessment.json"
EXAM_FILE = "exam.json"
SIGN_OFF_FILE = "sign_off.json"
_READABLE: dict[FormatName, str] = {"markdown": "draft.md", "text": "draft.txt"}
FILES = frozenset({DRAFT_FILE, ASSESSMENT_FILE, EXAM_FILE, SIGN_OFF_FILE, *_READABLE.values()})


def require_report_folder(folder: Path) -> None:
    """Refuse a folder that is not an earlier report, or that holds more than one.

    Raises:
        InputError: It holds something that :func:`write_report` would delete.
    """
    require_own_folder(folder, DRAFT_FILE, FILES)


def write_report(folder: Path, exam: Exam, draft: Draft, sign_off: SignOff | None = None) -> None:
    """Write draft, report, assessment, exam and signature; an older folder is replaced only when all is written.

    Raises:
        InputError: The folder holds something else.
    """
    require_report_folder(folder)
    report = Report(exam, draft, sign_off)
    with finished_folder(folder) as unfinished:
        write_record(unfinished / EXAM_FILE, exam)
        write_record(unfinished / ASSESSMENT_FILE, draft.assessment)
        write_record(unfinished / DRAFT_FILE, draft)
        if sign_off is not None:
            write_record(unfinished / SIGN_OFF_FILE, sign_off)
        for form, name in _READABLE.items():
            write_bytes(unfinished / name, export(report, form).content)


def read_report(folder: Path) -> Report:
    """Read what :func:`write_report` wrote.

    Raises:
        InputError: A file is missing or breaks its contract, or the report was changed after it was signed.
    """
    if not folder.is_dir():
        raise InputError("is not a folder", where=str(folder), remedy="name what fedpsma report draft wrote")
    draft_file, signature = folder / DRAFT_FILE, folder / SIGN_OFF_FILE
    exam = read_exam(folder / EXAM_FILE)
    draft = parse_record(Draft, read_json(draft_file), str(draft_file))
    sign_off = parse_record(SignOff, read_json(signature), str(signature)) if signature.exists() else None
    return Report(exam, draft, sign_off)
