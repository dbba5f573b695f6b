"""One study that an import may read: cheap to name, dear to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedpsma.domain.study import Study
from fedpsma.io.provenance import Provenance


@dataclass(frozen=True)
class ImportedStudy:
    """A study in memory with the record of its conversion."""

    study: Study
    provenance: Provenance


@dataclass(frozen=True)
class StudySource:
    """A study as a layout found it.

    ``name`` is how messages on the user's own screen call it (a file, a table's line, a series) and may name the
    patient, so it is never written into a data set. ``study_id`` and ``patient_id`` are what the data set will hold.
    ``read`` raises :class:`~fedpsma.errors.InputError` where the study cannot be converted.
    """

    name: str
    study_id: str
    patient_id: str
    read: Callable[[], ImportedStudy]
