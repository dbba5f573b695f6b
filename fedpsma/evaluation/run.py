"""Every reader on every study; what was read once is kept, and read again only where something changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from fedpsma.domain.contour import ContourConvention
from fedpsma.errors import InputError
from fedpsma.evaluation.readers import Question, Reader
from fedpsma.evaluation.records import StudyScores
from fedpsma.evaluation.truth import read_truth, truth_files
from fedpsma.io.dataset import Dataset, StudyRow
from fedpsma.io.files import file_state, read_text, write_text

# To be raised whenever the scores of the same reading would come out otherwise.
_SCORES_VERSION = 2
KEPT_FOLDER = "studies"


@dataclass(frozen=True)
class Task:
    """One study of a data set and the convention to outline it by."""

    dataset: Dataset
    row: StudyRow
    contour: ContourConvention

    def question(self) -> Question:
        """Load the study and what is known of it."""
        truth = read_truth(self.dataset.folder, self.row.id)
        return Question(self.dataset.load(self.row), truth, self.dataset.info.name, self.contour)


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    scores: StudyScores


def plan(
    datasets: Sequence[Dataset], contour: ContourConvention | None = None, patients: str | None = None
) -> tuple[Task, ...]:
    """List the studies to be evaluated, checked before any work is done.

    Args:
        datasets: Data sets with lesion masks.
        contour: Convention to outline by; each data set's own where left out.
        patients: Pseudonyms separated by commas, ``FIRST..LAST`` for a range in alphabetic order; all if left out.

    Raises:
        InputError: A study has no mask, two studies cannot be told apart, or a patient asked for is not there.
    """
    chosen = _chosen(patients, {row.patient for one in datasets for row in one.rows})
    tasks = tuple(
        Task(one, row, contour or one.info.contour) for one in datasets for row in one.rows if row.patient in chosen
    )
    seen: set[tuple[str, str]] = set()
    for task in tasks:
        where = f"study {task.row.id} of {task.dataset.folder}"
        if task.row.mask is None:
            raise InputError("has no lesion mask", where=where, remedy="evaluate on studies with a mask")
        name = (task.dataset.info.name, task.row.id)
        if name in seen:
            raise InputError(
                f"stands in another data set of the name {name[0]!r} too",
                where=where,
                remedy="name each data set once, and give different ones different names",
            )
        seen.add(name)
    return tasks


def read_all(
    tasks: Sequence[Task], readers: Sequence[Reader], kept: Path, on_reading: Callable[[], None] | None = None
) -> tuple[tuple[StudyScores, ...], ...]:
    """Let every reader read every study.

    Args:
        tasks: See :func:`plan`.
        readers: Who reads.
        kept: Folder for the scores of each study; those whose files, options and reader are unchanged are taken from
            there.
        on_reading: Called after each study of each reader.

    Returns:
        The scores by reader, in the order of the tasks.
    """
    found: list[list[StudyScores]] = [[] for _ in readers]
    for task in tasks:
        question = None
        for reader, scores in zip(readers, found, strict=True):
            key = _key(task, reader)
            path = _kept_file(kept, task, key)
            known = _kept_scores(path, key)
            if known is None:
                question = question or task.question()
                known = reader.read(question)
                write_text(path, _Kept(key=key, scores=known).model_dump_json())
            scores.append(known)
            if on_reading is not None:
                on_reading()
    return tuple(tuple(scores) for scores in found)


def _chosen(patients: str | None, known: set[str]) -> set[str]:
    if patients is None:
        return known
    chosen: set[str] = set()
    for part in filter(None, (one.strip() for one in patients.split(","))):
        first, is_range, last = (one.strip() for one in part.partition(".."))
        matching = {one for one in known if first <= one <= last} if is_range else known & {part}
        if not matching:
            raise InputError(f"{part!r} names no patient", where="--patients", remedy=f"for example {min(known)!r}")
        chosen |= matching
    if not chosen:
        raise InputError("names no patient", where="--patients", remedy=f"for example {min(known)!r}")
    return chosen


def _kept_file(folder: Path, task: Task, key: str) -> Path:
    study = quote(task.row.id, safe="")
    return folder / quote(task.dataset.info.name, safe="") / study / f"{key[:16]}.json"


def _kept_scores(path: Path, key: str) -> StudyScores | None:
    try:
        kept = _Kept.model_validate_json(read_text(path))
    except (InputError, ValidationError):
        return None
    return kept.scores if kept.key == key else None


def _key(task: Task, reader: Reader) -> str:
    """Name reader, options and the state of the study's files by their names, sizes and times of change."""
    row, folder = task.row, task.dataset.folder
    files = [folder / name for name in (row.pet, row.ct, row.mask, row.anatomy) if name is not None]
    state = [(path.name, file_state(path)) for path in (*files, *truth_files(folder, row.id))]
    told = (_SCORES_VERSION, reader.key(row.id), task.contour, task.dataset.info.tracer, row.model_dump_json(), state)
    return hashlib.sha256(repr(told).encode()).hexdigest()
