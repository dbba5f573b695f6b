"""Finds what can be read: analysed studies and exam files below a folder, or the built-in synthetic examples."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fedpsma.errors import InputError

EXAM_FILE = "exam.json"
PICTURE_FILE = "mip.png"
READING_FOLDER = "reading"


@dataclass(frozen=True)
class Case:
    """One thing to read: its exam, its picture where there is one, and where the reading is kept."""

    name: str
    exam: Path
    picture: Path | None
    reading: Path


def find_cases(folder: Path | None, readings: Path) -> tuple[Case, ...]:
    """Return the cases below ``folder``, or the built-in examples when it is ``None``.

    A case is an ``exam.json`` as ``fedpsma analyze`` writes it, with ``mip.png`` beside it, or a file
    ``NAME.exam.json`` directly in ``folder``. Its reading is kept beside it; readings of the examples are kept in
    ``readings``.

    Raises:
        InputError: The folder does not exist or holds nothing to read.
    """
    if folder is None:
        return tuple(_case(path, path.stem, readings / path.stem) for path in _example_files())
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


def _example_files() -> list[Path]:
    folder = Path(str(resources.files("demo").joinpath("examples")))
    return sorted(folder.glob("*.json"))
