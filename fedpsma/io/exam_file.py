"""``exam.json`` and ``assessment.json``: checked on the way in, readable on the way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError, first_problem
from fedpsma.io.files import read_json, write_json


def read_exam(path: Path) -> Exam:
    """Read an exam, bare or inside a file with ``title``, ``exam`` and ``expected``.

    Raises:
        InputError: The file cannot be read, or a field holds something the contract does not allow.
    """
    return _exam_in(read_json(path), where=str(path))


def parse_exam_bytes(content: bytes, *, where: str) -> Exam:
    """Check an exam that came as the bytes of a file, which may be anything.

    Raises:
        InputError: It is no JSON text, or holds no exam.
    """
    try:
        decoded = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError("is not JSON", where=where, remedy="give an exam.json") from error
    return _exam_in(decoded, where=where)


def parse_exam(content: Any, *, where: str) -> Exam:
    """Check a decoded exam; ``where`` names its origin in the error."""
    try:
        exam = Exam.model_validate(content)
    except ValidationError as error:
        raise _first_problem(error, where) from error
    _require_unique_ids(exam, where)
    return exam


def write_record(path: Path, record: BaseModel) -> None:
    """Write an exam, an assessment or a draft as JSON."""
    write_json(path, record.model_dump(mode="json"))


def _exam_in(content: Any, *, where: str) -> Exam:
    if not isinstance(content, dict):
        raise InputError("holds no exam", where=where, remedy="give an object with tracer, lesions and so on")
    return parse_exam(content.get("exam", content), where=where)


def _first_problem(error: ValidationError, where: str) -> InputError:
    field, what = first_problem(error)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = what[0].lower() + what[1:]
    if len(message) > 200:
        message = message[:200].rsplit(" ", 1)[0] + " ..."
    given = str(error.errors()[0]["input"])[:40]
    return InputError(f"{field}: {message}, not {given!r}{more}", where=where, remedy="correct the field")


def _require_unique_ids(exam: Exam, where: str) -> None:
    seen: set[str] = set()
    for lesion in exam.lesions:
        if lesion.lesion_id in seen:
            raise InputError(
                f"two lesions have the id {lesion.lesion_id!r}", where=where, remedy="give each lesion its own id"
            )
        seen.add(lesion.lesion_id)
