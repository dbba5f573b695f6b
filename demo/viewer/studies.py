"""Analysed studies in the memory of this process: read and prepared once, never written anywhere else."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from demo.viewer.volumes import Prepared, prepare
from fedpsma.analysis_folder import ANATOMY_FILE, CT_FILE, EXAM_FILE, LESIONS_FILE, PET_FILE, SUMMARY_FILE
from fedpsma.comparison.folder import read_examined
from fedpsma.comparison.study_pair import Examined
from fedpsma.io.files import file_state

_FILES = (SUMMARY_FILE, EXAM_FILE, PET_FILE, CT_FILE, LESIONS_FILE, ANATOMY_FILE)
_LOCK = threading.Lock()


@dataclass(frozen=True)
class StudyState:
    """An analysed folder as it was at one time: a changed file makes another one."""

    folder: Path
    files: tuple[tuple[int, int] | None, ...]


def study_state(folder: Path) -> StudyState:
    """Return the state that a folder is in now."""
    return StudyState(folder, tuple(file_state(folder / name) for name in _FILES))


def examined_study(state: StudyState) -> Examined:
    """Return an analysed study; the last few are kept.

    Raises:
        InputError: The folder is no analysis, or a file in it is broken.
    """
    with _LOCK:
        return _examined(state)


def prepared_study(state: StudyState) -> Prepared:
    """Return an analysed study as the viewer wants it; the last few are kept.

    Raises:
        InputError: The folder is no analysis, or a file in it is broken.
    """
    with _LOCK:
        return _prepared(state)


@lru_cache(maxsize=2)
def _examined(state: StudyState) -> Examined:
    return read_examined(state.folder)


@lru_cache(maxsize=6)
def _prepared(state: StudyState) -> Prepared:
    found = _examined(state)
    told = {"study": found.study.study_id, "date": found.study.date, "synthetic": found.synthetic}
    return prepare(found.study, told=told)
