"""What a site has told of its patients, so that two answers never differ by a few of them.

Whoever may ask twice, before and after one patient came, subtracts the answers. So every answer is kept, and a new one
is given only where at least as many patients as a count may show have come, gone or changed since each of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from fedpsma.federated.disclosure import LEAST_PATIENTS
from fedpsma.io.dataset import Dataset, parse_record
from fedpsma.io.files import file_state, read_json, write_text

FOLDER = "released"
Told = TypeVar("Told", bound=BaseModel)


class _Release(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    patients: frozenset[str]
    content: dict[str, object]


class _Memory(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    releases: tuple[_Release, ...] = ()

    def near(self, patients: frozenset[str]) -> _Release | None:
        """Return the answer about the most similar patients, where a new one would differ by too few of them."""
        nearest = min(self.releases, key=lambda one: len(patients ^ one.patients), default=None)
        if nearest is None or len(patients ^ nearest.patients) >= LEAST_PATIENTS:
            return None
        return nearest


def release(state: Path, name: str, dataset: Dataset, kind: type[Told], make: Callable[[], Told]) -> Told:
    """Return what the site tells: an answer it gave before, or a new one where enough patients have changed.

    Args:
        state: Folder in which the site keeps its own state.
        name: What is told; each thing is kept by itself.
        dataset: The patients it is about.
        kind: The record that is told.
        make: Computes a new answer.

    Raises:
        InputError: What was kept is broken; only the site can decide to take it away.
    """
    path = state / FOLDER / f"{name}.json"
    patients = _fingerprints(dataset)
    memory = parse_record(_Memory, read_json(path), str(path)) if path.exists() else _Memory()
    before = memory.near(patients)
    if before is not None:
        return parse_record(kind, before.content, str(path))
    new = make()
    told = _Release(patients=patients, content=new.model_dump(mode="json"))
    write_text(path, _Memory(releases=(*memory.releases, told)).model_dump_json(indent=1) + "\n")
    return new


def _fingerprints(dataset: Dataset) -> frozenset[str]:
    """Return one hash a patient, over what the index says of the patient's studies and the state of their files."""
    return frozenset(hashlib.sha256(repr(_state(dataset, name)).encode()).hexdigest() for name in dataset.patients)


def _state(dataset: Dataset, patient: str) -> list[object]:
    told: list[object] = [patient]
    for row in dataset.rows_of(patient):
        files = [file_state(dataset.folder / name) for name in (row.pet, row.mask) if name is not None]
        told.append((row.model_dump_json(), files))
    return told
