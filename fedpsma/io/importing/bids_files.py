"""Finding one's way in a BIDS data set: entities, inherited metadata, tables, and what belongs to a PET.

After the Brain Imaging Data Structure specification 1.10: file names, the inheritance principle, participants and
sessions files.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedpsma.errors import InputError
from fedpsma.io.files import read_json, read_text
from fedpsma.io.nifti import nifti_stem

WEIGHT_COLUMNS = ("weight", "body_weight")
_NIFTI = (".nii", ".nii.gz")
_LESION_WORDS = ("lesion", "tumor", "tumour")
_MASK_SUFFIXES = frozenset({"mask", "dseg"})
# What names the picture itself and not the scan: a CT or a mask need not repeat it, but must not differ in it.
_OWN_ENTITIES = frozenset({"sub", "ses"})


@dataclass(frozen=True)
class BidsFile:
    """A file with the entities and the suffix of its name: ``sub-01_ses-02_pet.nii.gz``."""

    path: Path
    entities: dict[str, str]
    suffix: str

    @property
    def is_nifti(self) -> bool:
        """Whether the name ends as that of a NIfTI volume."""
        return self.path.name.endswith(_NIFTI)

    def agrees_with(self, other: BidsFile) -> bool:
        """Whether subject and session are the same, and no entity that both have differs."""
        shared = self.entities.keys() & other.entities.keys()
        return all(self.entities[key] == other.entities[key] for key in shared) and all(
            self.entities.get(key) == other.entities.get(key) for key in _OWN_ENTITIES
        )


def parse_name(path: Path) -> BidsFile:
    """Read the entities of a file's name; parts that are no entity are passed over.

    Example:
        >>> parse_name(Path("sub-01_trc-FDG_pet.nii.gz")).entities
        {'sub': '01', 'trc': 'FDG'}
    """
    stem = path.name.removesuffix(".json") if path.suffix == ".json" else nifti_stem(path)
    *parts, suffix = stem.split("_")
    return BidsFile(path, dict(part.split("-", 1) for part in parts if re.fullmatch(r"[^-]+-.+", part)), suffix)


def find_pets(root: Path) -> list[BidsFile]:
    """Find ``sub-X[/ses-Y]/pet/*_pet.nii[.gz]``.

    Raises:
        InputError: There is none.
    """
    found = [
        parse_name(path) for pattern in ("sub-*/pet", "sub-*/ses-*/pet") for path in root.glob(f"{pattern}/*_pet.nii*")
    ]
    pets = sorted((one for one in found if one.is_nifti), key=lambda one: one.path)
    if not pets:
        raise InputError(
            "has no sub-*/[ses-*/]pet/*_pet.nii.gz", where=str(root), remedy="name the folder of a BIDS data set"
        )
    return pets


def inherited_metadata(pet: BidsFile, root: Path) -> dict[str, Any]:
    """Collect the JSON files that speak of a PET, from the root down; the nearer one decides.

    Raises:
        InputError: One of them is no JSON object.
    """
    content: dict[str, Any] = {}
    for folder in reversed([one for one in pet.path.parents if one == root or root in one.parents]):
        fitting = [one for one in map(parse_name, sorted(folder.glob("*pet.json"))) if _speaks_of(one, pet)]
        for one in sorted(fitting, key=lambda found: len(found.entities)):
            read = read_json(one.path)
            if not isinstance(read, dict):
                raise InputError("is no JSON object", where=str(one.path), remedy="correct the file")
            content |= read
    return content


def body_weight(pet: BidsFile, root: Path) -> float | None:
    """Return the weight in kg from the subject's sessions file, else from the participants file.

    Raises:
        InputError: A weight is no number, or its unit is declared as another one than kg.
    """
    subject = f"sub-{pet.entities['sub']}"
    session = f"ses-{pet.entities['ses']}" if "ses" in pet.entities else None
    sessions = root / subject / f"{subject}_sessions.tsv"
    for path, column, name in (
        (sessions, "session_id", session),
        (root / "participants.tsv", "participant_id", subject),
    ):
        row = next((row for row in _table(path) if name is not None and row.get(column) == name), {})
        for weight in WEIGHT_COLUMNS:
            if row.get(weight) not in (None, "", "n/a"):
                _require_kilogram(path, weight)
                return _number(row[weight], f"{path}, {name}, column {weight}")
    return None


def scan_date(pet: BidsFile, root: Path) -> str | None:
    """Return the day (ISO 8601) that the scans file tells, ``None`` where it is silent or was made unrecognisable.

    Years before 1926 are how BIDS marks a shifted date.
    """
    folder = pet.path.parent.parent
    name = "_".join(f"{key}-{pet.entities[key]}" for key in ("sub", "ses") if key in pet.entities)
    for row in _table(folder / f"{name}_scans.tsv"):
        found = re.match(r"(\d{4})-\d{2}-\d{2}", row.get("acq_time") or "")
        if row.get("filename") == f"pet/{pet.path.name}" and found and int(found[1]) >= 1926:
            return found[0]
    return None


def find_ct(pet: BidsFile) -> Path | None:
    """Find the CT of the same subject and session, in ``ct``, ``anat`` or ``pet``.

    Raises:
        InputError: There are several.
    """
    folders = [pet.path.parent.parent / name for name in ("ct", "anat", "pet")]
    found = [one for folder in folders for one in map(parse_name, sorted(folder.glob("*_ct.nii*"))) if one.is_nifti]
    return _only([one for one in found if one.agrees_with(pet)], pet, "CTs")


def find_mask(pet: BidsFile, root: Path) -> Path | None:
    """Find the lesion mask of a PET below ``derivatives``: suffix mask or dseg, and label or desc with "lesion".

    Raises:
        InputError: There are several.
    """
    name = f"sub-{pet.entities['sub']}_*.nii*"
    found = [parse_name(path) for path in sorted((root / "derivatives").rglob(name))]
    masks = [one for one in found if one.is_nifti and one.suffix in _MASK_SUFFIXES and _is_of_lesions(one)]
    return _only([one for one in masks if one.agrees_with(pet)], pet, "lesion masks")


def _speaks_of(metadata: BidsFile, pet: BidsFile) -> bool:
    return metadata.suffix == "pet" and metadata.entities.items() <= pet.entities.items()


def _is_of_lesions(mask: BidsFile) -> bool:
    named = (mask.entities.get("label", "") + " " + mask.entities.get("desc", "")).lower()
    return any(word in named for word in _LESION_WORDS)


def _only(found: list[BidsFile], pet: BidsFile, what: str) -> Path | None:
    if len(found) > 1:
        names = ", ".join(one.path.name for one in found[:3])
        raise InputError(
            f"has {len(found)} {what} ({names})", where=str(pet.path), remedy="leave the one to read there"
        )
    return found[0].path if found else None


def _table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    lines = io.StringIO(read_text(path).removeprefix("\ufeff"))
    try:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    except csv.Error as error:
        raise InputError(f"is no table: {error}", where=str(path), remedy="write it with tabulators") from error


def _require_kilogram(table: Path, column: str) -> None:
    path = table.with_suffix(".json")
    if not path.is_file():
        return
    content = read_json(path)
    described = content.get(column) if isinstance(content, dict) else None
    unit = described.get("Units", "kg") if isinstance(described, dict) else "kg"
    if str(unit).lower() not in ("kg", "kilogram", "kilograms"):
        raise InputError(f"{column}: is in {unit!r}, not in kg", where=str(path), remedy="give the weight in kg")


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no number", where=where, remedy="give the weight in kg") from error
