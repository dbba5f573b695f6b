"""A site's data set: ``dataset.json``, ``studies.jsonl`` and the volumes they name.

The patient is the unit of privacy and of splitting, so studies are always handed out grouped by patient.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedpsma.domain.contour import ContourConvention as ContourConvention
from fedpsma.domain.exam import Technique
from fedpsma.domain.study import CT_OUTSIDE_HU, Study
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError, first_problem
from fedpsma.io.files import read_json, read_text, write_json, write_text
from fedpsma.io.nifti import read_labels_like, read_volume, read_volume_like

Model = TypeVar("Model", bound=BaseModel)


class DatasetInfo(BaseModel):
    """``dataset.json``: what holds for the data set as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    site: str
    tracer: Tracer | None = None
    contour: ContourConvention
    synthetic: bool = False
    citation: str | None = None
    licence: str | None = None


class StudyRow(BaseModel):
    """One line of ``studies.jsonl``; paths are relative to the data set's folder.

    ``sidecar`` names the record of the conversion (:class:`fedpsma.io.provenance.Provenance`), ``scanner`` its maker
    and model. ``notes`` keeps what the reader must know of the import, for example voxels that had no number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    patient: str = Field(min_length=1)
    date: str | None = None
    pet: str
    ct: str | None = None
    mask: str | None = None
    anatomy: str | None = None
    tracer: Tracer | None = None
    spacing: tuple[float, float, float]
    scanner: str | None = None
    sidecar: str | None = None
    technique: Technique = Technique()
    notes: tuple[str, ...] = ()

    @property
    def volumes(self) -> tuple[str, ...]:
        """The paths of all volumes that the study has."""
        return tuple(name for name in (self.pet, self.ct, self.mask, self.anatomy) if name is not None)


@dataclass(frozen=True)
class Dataset:
    """A checked data set on disk; :meth:`load` brings one study into memory."""

    folder: Path
    info: DatasetInfo
    rows: tuple[StudyRow, ...]

    @property
    def site(self) -> str:
        """Name of the site that it belongs to."""
        return self.info.site

    @property
    def synthetic(self) -> bool:
        """Whether its patients are phantoms."""
        return self.info.synthetic

    @property
    def patients(self) -> tuple[str, ...]:
        """Pseudonyms of all patients, sorted."""
        return tuple(sorted({row.patient for row in self.rows}))

    def rows_of(self, patient: str) -> tuple[StudyRow, ...]:
        """Return every study of one patient."""
        return tuple(row for row in self.rows if row.patient == patient)

    def load(self, row: StudyRow) -> Study:
        """Read the volumes of one study, all on the PET grid in working orientation.

        Raises:
            InputError: A volume is missing, is not NIfTI, or lies on another grid than the PET.
        """
        pet = read_volume(self.folder / row.pet)
        ct = None if row.ct is None else read_volume_like(self.folder / row.ct, pet, outside=CT_OUTSIDE_HU)
        lesions = None if row.mask is None else read_labels_like(self.folder / row.mask, pet)
        anatomy = None if row.anatomy is None else read_labels_like(self.folder / row.anatomy, pet)
        return Study(
            study_id=row.id,
            patient_id=row.patient,
            pet=pet.data,
            affine=pet.affine,
            tracer=row.tracer or self.info.tracer,
            ct=None if ct is None else ct.data,
            lesions=lesions,
            anatomy=None if anatomy is None else anatomy.astype(np.uint8),
            date=row.date,
            technique=row.technique,
            notes=(*row.notes, *pet.notes, *(() if ct is None else ct.notes)),
        )


def read_dataset(folder: Path) -> Dataset:
    """Open a data set folder.

    Raises:
        InputError: ``dataset.json`` or ``studies.jsonl`` is missing or wrong, named with its line and field.
    """
    if not folder.is_dir():
        raise InputError("is not a folder", where=str(folder), remedy="name a data set folder")
    info = parse_record(DatasetInfo, read_json(folder / "dataset.json"), str(folder / "dataset.json"))
    rows = tuple(_rows(folder / "studies.jsonl"))
    if not rows:
        raise InputError("has no study", where=str(folder / "studies.jsonl"), remedy="import at least one study")
    return Dataset(folder, info, rows)


def write_dataset(folder: Path, info: DatasetInfo, rows: list[StudyRow]) -> Dataset:
    """Write the two index files beside the volumes and return the data set."""
    write_json(folder / "dataset.json", info.model_dump(mode="json"))
    write_text(folder / "studies.jsonl", "".join(row.model_dump_json() + "\n" for row in rows))
    return Dataset(folder, info, tuple(rows))


def parse_record(model: type[Model], content: object, where: str) -> Model:
    """Check decoded content against a model; ``where`` names its origin in the error.

    Raises:
        InputError: A field is missing, unknown or wrong; the error names the first.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        field, what = first_problem(error)
        raise InputError(f"{field}: {what}", where=where, remedy="correct the field") from error


def _rows(path: Path) -> Iterator[StudyRow]:
    seen: set[str] = set()
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            row = parse_record(StudyRow, _decode(line, where), where)
            if row.id in seen:
                raise InputError(f"the id {row.id!r} stands there twice", where=where, remedy="give each its own id")
            seen.add(row.id)
            yield row


def _decode(line: str, where: str) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON: {error.msg}", where=where, remedy="correct the line") from error


def distinct_datasets(folders: Sequence[Path]) -> list[Dataset]:
    """Read data sets, each named once.

    Raises:
        InputError: One is named twice, or is no data set.
    """
    whole = [folder.resolve() for folder in folders]
    twice = next((folder for folder in folders if whole.count(folder.resolve()) > 1), None)
    if twice is not None:
        raise InputError("is given twice", where=str(twice), remedy="name each data set once")
    return [read_dataset(folder) for folder in folders]


def require_masks(dataset: Dataset) -> None:
    """Raise :class:`InputError` where a study has no lesion mask; an empty one says that there is no lesion."""
    bare = [row.id for row in dataset.rows if row.mask is None]
    if bare:
        raise InputError(
            f"{len(bare)} of {len(dataset.rows)} studies have no lesion mask, the first is {bare[0]}",
            where=str(dataset.folder),
            remedy="give an empty mask where there is no lesion, or leave the study out",
        )
