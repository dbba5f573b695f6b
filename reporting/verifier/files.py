"""The verifier on files: any report against an exam."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fedpsma.errors import InputError
from fedpsma.io.exam_file import read_exam
from fedpsma.io.files import read_text
from fedpsma.staging import assess
from fedpsma.text.language import find_language
from reporting.verifier.document import read_document
from reporting.verifier.problems import NOT_UNDERSTOOD, Problem
from reporting.verifier.verify import Verifier

LONGEST_REPORT = 200_000


def verify_file(text_file: Path, exam_file: Path) -> list[Problem]:
    """Read a report and an exam and return what is wrong with the report, each problem once.

    Raises:
        InputError: A file cannot be read, or the report is in a language that the verifier does not know.
    """
    where = str(text_file)
    exam = read_exam(exam_file)
    text = read_text(text_file).removeprefix("\ufeff")
    if len(text) > LONGEST_REPORT:
        raise InputError(f"holds {len(text)} characters", where=where, remedy="give one report only")
    language = find_language(text)
    if language is None:
        raise InputError("is not in English or German", where=where, remedy="give a report in one of these languages")
    exam = exam.model_copy(update={"language": language})
    document = read_document(text, exam, where=where)
    found = Verifier(exam, assess(exam)).check(document)
    return list(dict.fromkeys(found))


def as_lines(problems: Sequence[Problem]) -> str:
    """Return one line a problem: line number, what is said, what the table says."""
    if not problems:
        return "nothing found: every sentence was read and agrees with the table"
    return "\n".join(_line(problem) for problem in problems)


def as_json(problems: Sequence[Problem]) -> str:
    """Return the problems as JSON: ``clean`` and ``problems`` with line, check, said and table."""
    return json.dumps(
        {"clean": not problems, "problems": [asdict(one) for one in problems]}, ensure_ascii=False, indent=1
    )


def _line(problem: Problem) -> str:
    where = f"line {problem.line}" if problem.line else "whole report"
    name = "not understood" if problem.check == NOT_UNDERSTOOD else problem.check.replace("_", " ")
    said = f"“{' '.join(problem.said.split())}”: " if problem.said else ""
    return f"{where}: {name}: {said}{problem.table.removeprefix('not understood: ')}"
