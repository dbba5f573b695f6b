"""Finds what can be read: analysed studies and exam files below a folder, or the built-in synthetic examples."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from fedpsma.io.files import read_json

EXAM_FILE = "exam.json"
PICTURE_FILE = "mip.png"
READING_FOLDER = "reading"
# As fedpsma.analysis_folder names it; that module loads the network, which a list of studies does not need.
SUMMARY_FILE = "analysis.json"
# An exam is pseudonymous by its contract; a site that adds these fields sees them beside the images.
IDENTITY_FIELDS = {
    "patient": ("patient", "patient_name", "PatientName"),
    "patient_id": ("patient_id", "PatientID"),
    "date": ("date", "study_date", "StudyDate"),
}
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST = 120


@dataclass(frozen=True)
class Case:
    """One thing to read: its exam, its picture where there is one, and where the reading is kept."""

    name: str
    exam: Path
    picture: Path | None
    reading: Path

    @property
    def folder(self) -> Path | None:
        """The folder that ``fedpsma analyze`` wrote, ``None`` where the exam came alone."""
        folder = self.exam.parent
        return folder if self.exam.name == EXAM_FILE and (folder / SUMMARY_FILE).is_file() else None


@dataclass(frozen=True)
class Identity:
    """Whose study it is, as far as the files say; empty where they do not."""

    patient: str
    patient_id: str = ""
    date: str = ""
    synthetic: bool = False
    notes: tuple[str, ...] = ()


def identity_of(case: Case, exam: Exam) -> Identity:
    """Return who the study belongs to: fields of the exam first, else what the analysis noted.

    Raises:
        InputError: The summary of the analysis cannot be read.
    """
    told = {name: _first(exam.model_extra or {}, names) for name, names in IDENTITY_FIELDS.items()}
    summary = read_json(case.folder / SUMMARY_FILE) if case.folder else {}
    return Identity(
        patient=told["patient"] or str(summary.get("study") or case.name),
        patient_id=told["patient_id"],
        date=told["date"] or str(summary.get("date") or ""),
        synthetic=bool(summary.get("synthetic")) or case.name.startswith("synthetic"),
        notes=tuple(str(note) for note in summary.get("notes", ())),
    )


def uploaded_case(name: str, content: bytes, folder: Path, readings: Path) -> Case:
    """Keep an uploaded exam in a private folder and return it as a case; two of one name keep their readings apart.

    Args:
        name: What the browser calls it.
        content: The exam.
        folder: Where the file itself is kept while the program runs.
        readings: Where readings stay.
    """
    digest = hashlib.sha256(content).hexdigest()[:8]
    plain = f"{_UNSAFE.sub('-', Path(name).stem)[:40] or 'exam'}-{digest}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    exam = folder / f"{plain}.json"
    exam.write_bytes(content)
    exam.chmod(0o600)
    return Case(plain, exam, None, readings / plain)


def _first(extra: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((str(extra[name])[:_LONGEST] for name in names if extra.get(name)), "")


def find_cases(folder: Path | None, readings: Path) -> tuple[Case, ...]:
    """Return the cases below ``folder``, or the built-in examples when it is ``None``.

    A case is an ``exam.json`` as ``fedpsma analyze`` writes it, with ``mip.png`` beside it, or a file
    ``NAME.exam.json`` directly in ``folder``. Its reading is kept beside it; readings of the examples are kept in
    ``readings``.

    Raises:
        InputError: The folder does not exist or holds nothing to read.
    """
    if folder is None:
        return tuple(_case(path, name, readings / name) for name, path in _examples().items())
    if folder.is_file():
        return (_case(folder, folder.stem, folder.parent / READING_FOLDER),)
    if not folder.is_dir():
        raise InputError("does not exist", where=str(folder), remedy="give a folder with analysed studies")
    analysed = sorted(path for path in folder.rglob(EXAM_FILE) if READING_FOLDER not in path.parts)
    found = [_case(path, _study_name(path, folder), path.parent / READING_FOLDER) for path in analysed]
    loose = sorted(path for path in folder.glob("*.json") if path.name.endswith(f".{EXAM_FILE}"))
    found += [_case(path, path.name, folder / READING_FOLDER / path.stem) for path in loose]
    if not found:
        raise InputError(
            f"holds no {EXAM_FILE}", where=str(folder), remedy="run fedpsma analyze first, or name an exam file"
        )
    return tuple(found)


def _study_name(exam: Path, folder: Path) -> str:
    inside = exam.parent.relative_to(folder)
    return str(inside) if inside.parts else folder.resolve().name


def _case(exam: Path, name: str, reading: Path) -> Case:
    picture = exam.parent / PICTURE_FILE if exam.name == EXAM_FILE else exam.with_suffix(".png")
    return Case(name, exam, picture if picture.is_file() else None, reading)


def _examples() -> dict[str, Path]:
    """Return the built-in examples by name, those with images first."""
    folder = Path(str(resources.files("demo").joinpath("examples")))
    analysed = {path.parent.name: path for path in sorted(folder.glob(f"*/{EXAM_FILE}"))}
    return analysed | {path.stem: path for path in sorted(folder.glob("*.json"))}
