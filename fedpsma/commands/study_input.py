"""One study for a command that looks at one: a DICOM folder, a NIfTI PET, or a row of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fedpsma.commands.options import Contour

if TYPE_CHECKING:
    from fedpsma.domain.study import Study
    from fedpsma.domain.tracer import Tracer


class StudyInput(NamedTuple):
    """A study, how its data set outlines lesions, and whether it is a phantom."""

    study: Study
    contour: Contour | None
    synthetic: bool


def read_study(
    path: Path, study: str | None, tracer: Tracer | None, *, ct: Path | None, suv_declared: bool
) -> StudyInput:
    """Read the one study that a command was given.

    Raises:
        InputError: The input is missing, broken, not in SUVbw, or holds several studies and ``study`` names none.
    """
    from fedpsma.errors import InputError
    from fedpsma.io.study_loader import load_study

    if (path / "dataset.json").is_file():
        if ct is not None or suv_declared:
            raise InputError("a data set knows its CT and units", where=str(path), remedy="leave out --ct and --units")
        return _read_from_dataset(path, study, tracer)
    if study is not None:
        raise InputError("is not a data set", where=str(path), remedy="leave out --study")
    return StudyInput(load_study(path, ct=ct, tracer=tracer, suv_declared=suv_declared), None, False)


def _read_from_dataset(path: Path, study: str | None, tracer: Tracer | None) -> StudyInput:
    from dataclasses import replace

    from fedpsma.errors import InputError
    from fedpsma.io.dataset import read_dataset

    data = read_dataset(path)
    rows = [row for row in data.rows if study is None or row.id == study]
    if len(rows) != 1:
        some = ", ".join(row.id for row in data.rows[:5]) + (", ..." if len(data.rows) > 5 else "")
        what = f"has no study {study!r}" if study is not None else f"has {len(rows)} studies"
        raise InputError(what, where=str(path), remedy=f"give --study, one of {some}")
    loaded = data.load(rows[0])
    return StudyInput(
        loaded if tracer is None else replace(loaded, tracer=tracer), Contour(data.info.contour), data.info.synthetic
    )
