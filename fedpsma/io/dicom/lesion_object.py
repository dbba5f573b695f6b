"""What a DICOM SEG segment and an RTSTRUCT region of interest have in common: who they are, and voxels on the PET."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fedpsma.io.nifti import Volume
from fedpsma.io.provenance import GridRecord

Box = tuple[slice, slice, slice]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Patch:
    """The voxels of one object: a mask within a box (x, y, z) of the PET grid.

    ``clipped`` says that the object reaches beyond the PET.
    """

    box: Box
    mask: Mask = field(repr=False)
    clipped: bool = False


@dataclass(frozen=True)
class LesionObject:
    """A segment or region of interest before it is drawn.

    ``number`` is how notes call it. ``name`` is free text of the file and may name the patient, so it is never stored.
    ``says_lesion`` tells whether its code or type is one of a lesion; ``draw`` puts it on a PET grid and raises
    :class:`~fedpsma.errors.InputError` where it cannot be drawn.
    """

    kind: Literal["SEG", "RTSTRUCT"]
    number: int
    name: str
    says_lesion: bool
    frame_of_reference: str | None
    where: str
    draw: Callable[[Volume], Patch] = field(repr=False)
    grid: GridRecord | None = None
    notes: tuple[str, ...] = ()


class _Type(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    meaning: str
    codes: tuple[str, ...]
    source: str
    tag: str


class _InterpretedType(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    value: str
    source: str
    tag: str


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    types: tuple[_Type, ...]
    interpreted_types: tuple[_InterpretedType, ...]


def is_lesion_code(code: str) -> bool:
    """Tell whether "scheme value" is the code of a lesion.

    Example:
        >>> is_lesion_code("SCT 108369006"), is_lesion_code("SCT 10200004")
        (True, False)
    """
    return any(code in row.codes for row in _table().types)


def is_lesion_interpretation(interpreted_type: str) -> bool:
    """Tell whether an RT ROI Interpreted Type (3006,00A4) is that of a lesion.

    Example:
        >>> is_lesion_interpretation("GTV"), is_lesion_interpretation("PTV")
        (True, False)
    """
    return any(interpreted_type.upper() == row.value for row in _table().interpreted_types)


def index_box(points: Points, pet: Volume) -> tuple[Box, bool]:
    """Return the box of the PET grid that holds all voxel centres among points, and whether they reach beyond it.

    Args:
        points: (n, 3) in mm, RAS+.
        pet: Only its grid counts. The box is empty where the points miss the grid.
    """
    to_index = np.linalg.inv(pet.affine)
    places = points @ to_index[:3, :3].T + to_index[:3, 3]
    # The slack keeps a voxel centre that lies on the edge of the box, but for rounding.
    low, high = np.ceil(places.min(axis=0) - 1e-3), np.floor(places.max(axis=0) + 1e-3) + 1
    shape = np.array(pet.data.shape)
    start, stop = np.clip(low, 0, shape).astype(int), np.clip(high, 0, shape).astype(int)
    x, y, z = (slice(int(first), max(int(first), int(last))) for first, last in zip(start, stop, strict=True))
    return (x, y, z), bool((low < 0).any() or (high > shape).any())


@cache
def _table() -> _Table:
    text = resources.files("fedpsma.io").joinpath("data/lesion_codes.json").read_text("utf-8")
    return _Table.model_validate_json(text)
