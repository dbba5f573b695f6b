"""What ``dataset.json`` of an nnU-Net raw data set says: which channel is what, which label is a lesion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fedpsma.errors import InputError
from fedpsma.io.dataset import parse_record
from fedpsma.io.files import read_json
from fedpsma.io.importing.lesions import LesionLabels

ENDINGS = (".nii.gz", ".nii")
_PET_WORDS = frozenset({"PET", "PT", "SUV"})
_CT_WORDS = frozenset({"CT", "CTRES"})
_LESION_WORDS = ("LESION", "TUMOR", "TUMOUR", "CANCER", "METASTAS")
ONE_IS_LESION = LesionLabels(frozenset({1}))
CONVENTION = "channel 0 was read as CT and channel 1 as PET"


class _Content(BaseModel):
    """The keys of version 2 (``channel_names``) and of version 1 (``modality``) that matter here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    channel_names: dict[int, str] | None = None
    modality: dict[int, str] | None = None
    labels: dict[str, Any] | None = None
    file_ending: str | None = Field(default=None, pattern=r"^\.[A-Za-z0-9.]+$")


@dataclass(frozen=True)
class Description:
    """How to read the files of the data set.

    ``says_suv`` tells that the PET channel is called SUV. ``notes`` says in words what was taken from convention.
    """

    pet_channel: int = 1
    ct_channel: int | None = 0
    ending: str = ENDINGS[0]
    says_suv: bool = False
    labels: LesionLabels = ONE_IS_LESION
    notes: tuple[str, ...] = ()


def read_description(folder: Path) -> Description:
    """Read ``dataset.json``; without it, the usual order of channels holds and 1 is a lesion.

    Raises:
        InputError: The file is wrong, or does not tell which channel is the PET or which label is a lesion.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        return Description(ending=_ending(folder), notes=(f"no dataset.json: {CONVENTION}",))
    content = parse_record(_Content, read_json(path), str(path))
    ending = content.file_ending or _ending(folder)
    if ending not in ENDINGS:
        raise InputError(f"file_ending: {ending} is not read", where=str(path), remedy="give .nii.gz or .nii files")
    pet, ct, notes = _channels(content.channel_names or content.modality, path)
    names = content.channel_names or content.modality or {}
    labels = ONE_IS_LESION if content.labels is None else _labels(content.labels, path)
    return Description(pet, ct, ending, "SUV" in _words(names.get(pet, "")), labels, notes)


def _ending(folder: Path) -> str:
    images = folder / "imagesTr"
    return next((ending for ending in ENDINGS if any(images.glob(f"*{ending}"))), ENDINGS[0])


def _channels(names: dict[int, str] | None, path: Path) -> tuple[int, int | None, tuple[str, ...]]:
    if names is None:
        return 1, 0, (f"dataset.json names no channels: {CONVENTION}",)
    pets = [number for number, name in names.items() if _words(name) & _PET_WORDS]
    cts = [number for number, name in names.items() if _words(name) & _CT_WORDS]
    if len(pets) == 1 and len(cts) <= 1 and pets != cts:
        return pets[0], cts[0] if cts else None, ()
    if not pets and sorted(cts) == [0, 1] == sorted(names):
        # The published autoPET data say so, to have nnU-Net normalise both channels alike.
        return 1, 0, (f"dataset.json calls both channels CT: {CONVENTION}",)
    shown = ", ".join(f"{number} {name!r}" for number, name in sorted(names.items()))
    raise InputError(
        f"does not tell which channel is the PET and which the CT ({shown})",
        where=str(path),
        remedy='write "channel_names": {"0": "CT", "1": "SUV"}, numbered as the files are',
    )


def _labels(named: dict[str, Any], path: Path) -> LesionLabels:
    lesions: set[int] = set()
    others: set[int] = set()
    for name, numbers in _by_name(named, path):
        is_lesion = any(word in name.upper() for word in _LESION_WORDS)
        (lesions if is_lesion else others).update(numbers)
    if not lesions or lesions & others:
        raise InputError(
            f"labels: does not tell which is a lesion ({', '.join(map(str, named))})",
            where=str(path),
            remedy='call it lesion or tumor, as in {"background": 0, "lesion": 1}',
        )
    return LesionLabels(frozenset(lesions), frozenset(others))


def _by_name(named: dict[str, Any], path: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Turn {"lesion": 1} (version 2, also with a list) and {"1": "lesion"} (version 1) into the same."""
    pairs = [(str(value), key) if str(key).isdigit() else (key, value) for key, value in named.items()]
    try:
        return [
            (name, tuple(int(number) for number in (value if isinstance(value, list) else [value])))
            for name, value in pairs
        ]
    except (TypeError, ValueError) as error:
        raise InputError(
            "labels: holds something else than names and whole numbers", where=str(path), remedy="correct the field"
        ) from error


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Z]+", name.upper()))
