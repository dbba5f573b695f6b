"""The one way into a data set: studies of any layout, each written whole, the rest where one cannot be converted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedpsma.errors import InputError
from fedpsma.io.dataset import DatasetInfo, StudyRow, read_dataset, write_dataset
from fedpsma.io.files import finished_folder, write_json
from fedpsma.io.importing.source import ImportedStudy, StudySource
from fedpsma.io.nifti import write_volume
from fedpsma.io.provenance import Provenance

SAFE_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
LONGEST_ID = 120
SIDECAR_FILE = "study.json"


@dataclass(frozen=True)
class Imported:
    """A study that was written now."""

    name: str
    row: StudyRow


@dataclass(frozen=True)
class Kept:
    """A study that an earlier run had written."""

    name: str
    row: StudyRow


@dataclass(frozen=True)
class Refused:
    """A study that was not written, and why; the next run tries it again."""

    name: str
    error: InputError


Outcome = Imported | Kept | Refused


def import_studies(sources: Iterable[StudySource], folder: Path, info: DatasetInfo) -> Iterator[Outcome]:
    """Write studies into a data set, and yield what became of each.

    A study is read, written whole into ``volumes/ID`` (``pet.nii.gz``, ``ct.nii.gz``, ``lesions.nii.gz``,
    ``study.json``) and then entered into ``studies.jsonl``, so that a stop at any moment leaves a data set in order.
    Called again with the same folder and information it goes on: what is there stays, what was refused is tried again.
    Where no study can be written, no folder appears.

    Args:
        sources: The studies; their ids become folders.
        folder: The data set's folder: new, empty, or that of an earlier run.
        info: What holds for the whole data set. In an existing one it must be the same, besides citation and licence,
            which stay as they are there.

    Raises:
        InputError: The folder holds something else.
    """
    present = _present(folder, info)
    info, rows = (present[0], list(present[1])) if present else (info, [])
    claimed: dict[str, str] = {}
    for source in sources:
        try:
            _require_usable_id(source, claimed)
            kept = _written_before(source, rows)
            imported = None if kept else _read(source)
        except InputError as error:
            yield Refused(source.name, error)
            continue
        if imported is not None:
            rows.append(_store(folder, info, rows, source, imported))
        yield Kept(source.name, kept) if kept else Imported(source.name, rows[-1])


def _present(folder: Path, info: DatasetInfo) -> tuple[DatasetInfo, tuple[StudyRow, ...]] | None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / "dataset.json").is_file():
        raise InputError("exists and is not a data set", where=str(folder), remedy="name a new folder")
    data = read_dataset(folder)
    free = {"citation", "licence"}
    before, now = (one.model_dump(mode="json", exclude=free) for one in (data.info, info))
    for field, value in before.items():
        if value != now[field]:
            raise InputError(
                f"is a data set with {field} {value!r}, not {now[field]!r}",
                where=str(folder),
                remedy="give the same options to go on with it, or name a new folder",
            )
    return data.info, data.rows


def _require_usable_id(source: StudySource, claimed: dict[str, str]) -> None:
    """Refuse an id that is no safe name of a folder, or that another study of this run has (Windows: any case)."""
    if re.fullmatch(SAFE_ID, source.study_id) is None or len(source.study_id) > LONGEST_ID:
        raise InputError(
            f"the id {source.study_id!r} is no safe file name",
            where=source.name,
            remedy=f"use up to {LONGEST_ID} letters, digits, points, hyphens and underscores, a letter or digit first",
        )
    if not source.patient_id.strip():
        raise InputError("has no patient", where=source.name, remedy="give each patient a pseudonym")
    first = claimed.get(source.study_id.lower())
    if first is not None:
        raise InputError(f"has the same id as {first}", where=source.name, remedy="give each study its own id")
    claimed[source.study_id.lower()] = source.name


def _written_before(source: StudySource, rows: list[StudyRow]) -> StudyRow | None:
    for row in rows:
        if row.id.lower() != source.study_id.lower():
            continue
        if row.id != source.study_id:
            raise InputError(
                f"the data set has {row.id!r} already", where=source.name, remedy="give each study its own id"
            )
        if row.patient != source.patient_id:
            raise InputError(
                f"the data set has {row.id!r} already, as a study of another patient",
                where=source.name,
                remedy="import into a new folder, or give each study its own id",
            )
        return row
    return None


def _read(source: StudySource) -> ImportedStudy:
    """Read a study; whatever goes wrong costs this study only, for a night's import must not end at one file."""
    try:
        return source.read()
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(
            f"could not be read ({reason})", where=source.name, remedy="export or copy it again"
        ) from error


def _store(
    folder: Path, info: DatasetInfo, rows: list[StudyRow], source: StudySource, imported: ImportedStudy
) -> StudyRow:
    row = _row(source, imported)
    place = Path("volumes", source.study_id)
    if not rows:
        with finished_folder(folder) as draft:
            _write_study(draft / place, imported)
            write_dataset(draft, info, [row])
        return row
    with finished_folder(folder / place) as draft:
        _write_study(draft, imported)
    write_dataset(folder, info, [*rows, row])
    return row


def _row(source: StudySource, imported: ImportedStudy) -> StudyRow:
    study, place = imported.study, f"volumes/{source.study_id}"
    return StudyRow(
        id=source.study_id,
        patient=source.patient_id,
        date=study.date,
        pet=f"{place}/pet.nii.gz",
        ct=None if study.ct is None else f"{place}/ct.nii.gz",
        mask=None if study.lesions is None else f"{place}/lesions.nii.gz",
        tracer=study.tracer,
        spacing=study.spacing_mm,
        scanner=_scanner(imported.provenance),
        sidecar=f"{place}/{SIDECAR_FILE}",
        technique=study.technique,
        notes=study.notes,
    )


def _scanner(provenance: Provenance) -> str | None:
    """Name maker and model, the maker once where the model begins with it."""
    maker, model = provenance.manufacturer, provenance.scanner
    if maker and model and not model.lower().startswith(maker.lower()):
        return f"{maker} {model}"
    return model or maker


def _write_study(place: Path, imported: ImportedStudy) -> None:
    study = imported.study
    for name, data in (("pet", study.pet), ("ct", study.ct), ("lesions", study.lesions)):
        if data is not None:
            write_volume(place / f"{name}.nii.gz", data, study.affine)
    write_json(place / SIDECAR_FILE, imported.provenance.model_dump(mode="json"))
