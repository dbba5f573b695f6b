"""A table of NIfTI studies becomes a data set that the rest of the project can read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from skimage.measure import label

from fedpsma.domain.study import LabelVolume, Study
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import DatasetInfo, StudyRow, write_dataset
from fedpsma.io.files import finished_folder, read_text
from fedpsma.io.nifti import Volume, read_labels_like, write_volume
from fedpsma.io.study_loader import load_study

REQUIRED_COLUMNS = ("id", "patient", "pet")
COLUMNS = (*REQUIRED_COLUMNS, "ct", "mask", "tracer", "date")
# Voxels that share a face or an edge are one lesion (18 neighbours), as in the autoPET challenge.
LESION_CONNECTIVITY = 2


class TableRow(BaseModel):
    """One line of the table; paths are relative to the table's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: int
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    patient: str = Field(min_length=1)
    pet: Path
    ct: Path | None = None
    mask: Path | None = None
    tracer: Tracer | None = None
    date: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")

    @field_validator("pet", "ct", "mask")
    @classmethod
    def _exists(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"{path} does not exist")
        return path


@dataclass(frozen=True)
class ImportTable:
    """A checked table: every file it names is there, every id stands once."""

    path: Path
    rows: tuple[TableRow, ...]


def read_import_table(path: Path) -> ImportTable:
    """Read a CSV table with the columns id, patient, pet and, if there, ct, mask, tracer, date.

    Raises:
        InputError: A column is missing or unknown, or a line is wrong; the error names the line.
    """
    reader = csv.DictReader(io.StringIO(read_text(path).removeprefix("\ufeff"), newline=""), strict=True)
    _require_columns(reader.fieldnames or [], path)
    rows: list[TableRow] = []
    seen: dict[str, int] = {}
    try:
        for content in reader:
            row = _row(content, reader.line_num, path)
            if row.id.lower() in seen:
                raise InputError(
                    f"the id {row.id!r} stands on line {seen[row.id.lower()]} already",
                    where=f"{path}, line {row.line}",
                    remedy="give each study its own id",
                )
            seen[row.id.lower()] = row.line
            rows.append(row)
    except csv.Error as error:
        raise InputError(f"is not CSV: {error}", where=f"{path}, line {reader.line_num}") from error
    if not rows:
        raise InputError("has no study", where=str(path), remedy="write one line a study below the column names")
    return ImportTable(path, tuple(rows))


def import_table(table: ImportTable, folder: Path, info: DatasetInfo, *, suv_declared: bool) -> Iterator[StudyRow]:
    """Write the studies of a table as a data set, and yield each when it is done.

    The folder appears when the last study is done; if one is wrong, nothing appears. Volumes are written in the
    working orientation, a CT on another grid is interpolated to that of the PET, and a mask becomes a label map with
    one number a lesion (see :func:`number_lesions`).

    Args:
        table: What to read.
        folder: The data set folder; it must not exist.
        info: Name, site and contour convention of the data set, and its tracer where a row has none.
        suv_declared: The user says that every PET is in SUVbw; otherwise each needs its sidecar.

    Raises:
        InputError: The folder exists, or a study cannot be read; the error names the line of the table.
    """
    if folder.exists():
        raise InputError("exists already", where=str(folder), remedy="name another folder, or remove this one first")
    with finished_folder(folder) as draft:
        written = []
        for row in table.rows:
            try:
                written.append(_import_row(row, draft, suv_declared))
            except InputError as error:
                where = f"{table.path}, line {row.line}: {error.where}"
                raise InputError(error.what, where=where, remedy=error.remedy) from error
            yield written[-1]
        write_dataset(draft, info, written)


def number_lesions(labels: LabelVolume) -> LabelVolume:
    """Give each connected component of a mask or label map a number from 1, with 18 neighbours.

    Two labels that touch stay two lesions.

    Args:
        labels: Whole numbers (x, y, z), 0 is none.

    Example:
        >>> number_lesions(np.array([[[1, 1, 0, 1, 2]]], np.int32)).tolist()
        [[[1, 1, 0, 2, 3]]]
    """
    numbered: LabelVolume = label(labels, background=0, connectivity=LESION_CONNECTIVITY).astype(np.int32)
    return numbered


def _require_columns(names: object, path: Path) -> None:
    given = [str(name).strip() for name in names] if isinstance(names, list) else []
    missing = [name for name in REQUIRED_COLUMNS if name not in given]
    unknown = [name for name in given if name not in COLUMNS]
    if missing or unknown or len(set(given)) < len(given):
        problem = f"lacks the column {missing[0]}" if missing else f"has the column {(unknown or given)[0]!r}"
        problem = problem if missing or unknown else "has a column twice"
        raise InputError(problem, where=f"{path}, line 1", remedy=f"use the columns {', '.join(COLUMNS)}")


def _row(content: dict[str | None, str | None], line: int, path: Path) -> TableRow:
    where = f"{path}, line {line}"
    if None in content or None in content.values():
        raise InputError("has more or fewer fields than the first line", where=where, remedy="correct the line")
    filled = {str(name).strip(): value.strip() for name, value in content.items() if value and value.strip()}
    for name in ("pet", "ct", "mask"):
        if name in filled:
            filled[name] = str(path.parent / filled[name])
    try:
        return TableRow.model_validate({"line": line, **filled})
    except ValidationError as error:
        problem = error.errors()[0]
        message = problem["msg"].removeprefix("Value error, ")
        raise InputError(f"{problem['loc'][0]}: {message}", where=where, remedy="correct the field") from error


def _import_row(row: TableRow, draft: Path, suv_declared: bool) -> StudyRow:
    study = load_study(row.pet, ct=row.ct, tracer=row.tracer, suv_declared=suv_declared)
    lesions = None
    if row.mask is not None:
        lesions = number_lesions(read_labels_like(row.mask, Volume(study.pet, study.affine)))
    place = f"volumes/{row.id}"
    x, y, z = study.spacing_mm
    return StudyRow(
        id=row.id,
        patient=row.patient,
        date=row.date or study.date,
        pet=_write(draft, f"{place}/pet.nii.gz", study.pet, study),
        ct=_write(draft, f"{place}/ct.nii.gz", study.ct, study),
        mask=_write(draft, f"{place}/lesions.nii.gz", lesions, study),
        tracer=study.tracer,
        spacing=(x, y, z),
        technique=study.technique,
        notes=study.notes,
    )


def _write(draft: Path, name: str, data: object, study: Study) -> str | None:
    if data is None:
        return None
    write_volume(draft / name, np.asarray(data), study.affine)
    return name
