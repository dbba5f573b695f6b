"""The report of the prior examination from a text file, into an exam; nobody believes it yet."""

from __future__ import annotations

from pathlib import Path

from fedpsma.domain.exam import Exam, Prior
from fedpsma.errors import InputError
from fedpsma.io.files import read_text

LONGEST_REPORT = 200_000


def read_prior_text(path: Path) -> str:
    """Return the text of a prior report.

    Raises:
        InputError: The file is missing, empty, far too long, or not text.
    """
    text = read_text(path).removeprefix("\ufeff")
    if any(ord(character) < 32 and character not in "\n\r\t\f" for character in text):
        raise InputError("is not a text file", where=str(path), remedy="give the prior report as plain UTF-8 text")
    if not text.strip():
        raise InputError("is empty", where=str(path), remedy="give the prior report as plain UTF-8 text")
    if len(text) > LONGEST_REPORT:
        raise InputError(f"holds {len(text)} characters", where=str(path), remedy="give one report only")
    return text


def with_prior(exam: Exam, path: Path) -> Exam:
    """Return the exam with the text of a prior report; what else is known of the prior stays.

    Raises:
        InputError: The file is missing, empty, far too long, or not text.
    """
    text = read_prior_text(path)
    prior = (exam.prior or Prior()).model_copy(update={"report_text": text})
    return exam.model_copy(update={"prior": prior})
