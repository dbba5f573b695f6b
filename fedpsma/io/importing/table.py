"""A CSV table of NIfTI studies."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError, first_problem
from fedpsma.io.files import read_text
from fedpsma.io.importing.nifti_study import read_nifti_study
from fedpsma.io.importing.sidecar import lone_pet
from fedpsma.io.importing.source import ImportedStudy, StudySource
from fedpsma.io.importing.writer import LONGEST_ID, SAFE_ID

REQUIRED_COLUMNS = ("id", "patient", "pet")
COLUMNS = (*REQUIRED_COLUMNS, "ct", "mask", "tracer", "date")


class TableRow(BaseModel):
    """One line of the table; paths are relative to the table's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: int
    id: str = Field(pattern=SAFE_ID, max_length=LONGEST_ID)
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

    def sources(self, *, tracer: Tracer | None, suv_declared: bool) -> tuple[StudySource, ...]:
        """Return the studies, by line.

        Args:
            tracer: What the caller says of rows without a tracer whose sidecar has none.
            suv_declared: The caller says that every PET is in SUVbw; otherwise each needs its sidecar.
        """
        return tuple(
            StudySource(
                name=f"{self.path}, line {row.line}",
                study_id=row.id,
                patient_id=row.patient,
                read=partial(_read, row, tracer, suv_declared),
            )
            for row in self.rows
        )


def read_import_table(path: Path) -> ImportTable:
    """Read a CSV table with the columns id, patient, pet and, if there, ct, mask, tracer, date.

    Raises:
        InputError: A column is missing or unknown, or a line is wrong; the error names the line.
    """
    reader = csv.DictReader(io.StringIO(read_text(path).removeprefix("\ufeff"), newline=""), strict=True)
    rows: list[TableRow] = []
    seen: dict[str, int] = {}
    try:
        _require_columns(reader.fieldnames or [], path)
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
        where = f"{path}, line {reader.line_num}"
        raise InputError(f"is not CSV: {error}", where=where, remedy="save it as CSV again") from error
    if not rows:
        raise InputError("has no study", where=str(path), remedy="write one line a study below the column names")
    return ImportTable(path, tuple(rows))


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
        field, what = first_problem(error, "the line")
        raise InputError(f"{field}: {what}", where=where, remedy="correct the field") from error


def _read(row: TableRow, default: Tracer | None, suv_declared: bool) -> ImportedStudy:
    pet = lone_pet(row.pet, tracer=row.tracer, default=default, suv_declared=suv_declared)
    return read_nifti_study(
        replace(pet, study_id=row.id, patient_id=row.patient, ct=row.ct, mask=row.mask, date=row.date or pet.date)
    )
