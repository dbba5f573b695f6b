"""Lesion contours of a study, from DICOM SEG or RTSTRUCT onto the PET grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path

import numpy as np

from fedpsma.domain.study import LabelVolume
from fedpsma.errors import InputError
from fedpsma.io.dicom.lesion_object import LesionObject, Patch
from fedpsma.io.dicom.rtstruct import read_regions
from fedpsma.io.dicom.seg import read_segments
from fedpsma.io.dicom.tags import read_tags
from fedpsma.io.importing.lesions import number_lesions
from fedpsma.io.nifti import Volume
from fedpsma.io.provenance import ContourRecord

RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
CONTOUR_CLASSES = (*SEG_CLASSES, RTSTRUCT_CLASS)
# Of the smaller of two objects in different files: beyond it they are two versions of one lesion.
SAME_LESION = 0.5
_WORDS = {"SEG": "segment", "RTSTRUCT": "region of interest"}


@dataclass(frozen=True)
class Contours:
    """The lesions of a study on its PET grid.

    ``labels`` (x, y, z) numbers the lesions from 1, 0 is none: each connected part (18 neighbours) of each segment or
    region is a lesion. ``labels`` and ``record`` are ``None`` where files are there, but nothing tells which of their
    objects is a lesion, or none lies on the grid: then nothing is known of lesions, and ``notes`` says why.
    """

    labels: LabelVolume | None = field(repr=False)
    record: ContourRecord | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Drawn:
    """A lesion object with its voxels."""

    source: LesionObject
    patch: Patch


def read_contours(
    paths: Sequence[Path], pet: Volume, frame_of_reference: str | None, names: str | None = None
) -> Contours | None:
    """Read the lesions of SEG and RTSTRUCT files of one study.

    A segment counts by its coded type, a region of interest by its RT ROI Interpreted Type or its code (see
    ``data/lesion_codes.json``), unless the user names them. Where a SEG holds lesions, an RTSTRUCT beside it is
    taken for the same contours and not read. Notes and record hold no text of the files.

    Args:
        paths: Files of the classes :data:`CONTOUR_CLASSES`.
        pet: Its grid is the one to draw on.
        frame_of_reference: The PET's Frame of Reference UID (0020,0052), ``None`` where it has none.
        names: Glob patterns, comma separated, of the names of segments and regions that are lesions; upper and lower
            case are alike.

    Returns:
        ``None`` where there are no files.

    Raises:
        InputError: A file is damaged; a lesion lies in another frame of reference than the PET; no name fits
            ``names``; two files hold the same lesion.
    """
    if not paths:
        return None
    objects = [one for path in sorted(paths) for one in _read(path)]
    chosen = [one for one in objects if _is_named(one, names) or (names is None and one.says_lesion)]
    if not chosen:
        return Contours(None, None, _nothing_chosen(objects, names))
    kind = "SEG" if any(one.kind == "SEG" for one in chosen) else "RTSTRUCT"
    read = [one for one in chosen if one.kind == kind]
    framed = _require_frame(read, frame_of_reference)
    drawn = [_Drawn(one, one.draw(pet)) for one in read]
    owners, overlaps = _paint(drawn, pet)
    shown = [one for one in drawn if one.patch.mask.any()]
    notes = (*framed, *_unread(objects, chosen, read), *_file_notes(read), *_places(drawn), *overlaps)
    if not owners.any():
        return Contours(None, None, (*notes, "no lesion contour lies on the PET, so lesions are unknown"))
    grids = {one.source.grid for one in shown}
    record = ContourRecord(kind=kind, objects=len(shown), grid=grids.pop() if len(grids) == 1 else None)
    return Contours(number_lesions(owners), record, notes)


def _read(path: Path) -> list[LesionObject]:
    sop_class = read_tags(path, ["SOPClassUID"]).text("SOPClassUID")
    if sop_class == RTSTRUCT_CLASS:
        return read_regions(path)
    if sop_class in SEG_CLASSES:
        return read_segments(path)
    raise InputError("is neither a SEG nor an RTSTRUCT", where=str(path), remedy="name files of lesion contours")


def _is_named(one: LesionObject, names: str | None) -> bool:
    patterns = [pattern.strip().casefold() for pattern in (names or "").split(",")]
    return any(pattern and fnmatchcase(one.name.strip().casefold(), pattern) for pattern in patterns)


def _nothing_chosen(objects: list[LesionObject], names: str | None) -> tuple[str, ...]:
    if names is None:
        return (
            f"the contour files hold {len(objects)} objects, none of which says that it is a lesion: "
            "nothing was read; the names of lesions can be given",
        )
    found = ", ".join(sorted({repr(one.name) for one in objects})[:20]) or "nothing"
    where = ", ".join(sorted({one.where for one in objects})) or "contour files"
    raise InputError(f"no contour is called {names!r}, but {found}", where=where, remedy="give the names of lesions")


def _require_frame(objects: list[LesionObject], frame_of_reference: str | None) -> tuple[str, ...]:
    for one in objects:
        if one.frame_of_reference and frame_of_reference and one.frame_of_reference != frame_of_reference:
            raise InputError(
                f"{_WORDS[one.kind]} {one.number} has another Frame of Reference UID (0020,0052) than the PET",
                where=one.where,
                remedy="take the file out, or have it drawn on the PET or its CT",
            )
    unknown = not frame_of_reference or any(not one.frame_of_reference for one in objects)
    note = "contours or PET have no Frame of Reference UID (0020,0052): that they fit together was not checked"
    return (note,) if unknown else ()


def _paint(drawn: list[_Drawn], pet: Volume) -> tuple[LabelVolume, tuple[str, ...]]:
    """Give each voxel the number of the first object that holds it, and say where others lie over it.

    Raises:
        InputError: Objects of two files are the same lesion.
    """
    owners = np.zeros(pet.data.shape, np.int32)
    notes = []
    for number, one in enumerate(drawn, start=1):
        below = owners[one.patch.box]
        overlap = np.bincount(below[one.patch.mask], minlength=number)[1:]
        for index in np.flatnonzero(overlap):
            _require_other_lesion(one, drawn[index], int(overlap[index]))
            notes.append(_overlap_note(one, drawn[index], int(overlap[index])))
        below[one.patch.mask & (below == 0)] = number
    return owners, tuple(notes)


def _require_other_lesion(later: _Drawn, first: _Drawn, voxels: int) -> None:
    smaller = min(int(later.patch.mask.sum()), int(first.patch.mask.sum()))
    if later.source.where != first.source.where and voxels > SAME_LESION * smaller:
        raise InputError(
            f"holds the same lesion as {Path(first.source.where).name} (two readers or two versions?)",
            where=later.source.where,
            remedy="leave the file to read there",
        )


def _overlap_note(later: _Drawn, first: _Drawn, voxels: int) -> str:
    word = _WORDS[later.source.kind]
    return (
        f"{word} {later.source.number} lies over {word} {first.source.number} in {voxels} voxels, "
        "which stay with the latter"
    )


def _unread(objects: list[LesionObject], chosen: list[LesionObject], read: list[LesionObject]) -> Iterator[str]:
    other = len(objects) - len(chosen)
    if other:
        yield f"{other} contour objects are not among the lesions and were not read"
    if len(read) < len(chosen):
        yield f"{len(chosen) - len(read)} regions of interest of an RTSTRUCT were not read, as a SEG holds the lesions"


def _file_notes(read: list[LesionObject]) -> Iterator[str]:
    yield from dict.fromkeys(note for one in read for note in one.notes)


def _places(drawn: list[_Drawn]) -> Iterator[str]:
    """Say which objects have no voxel on the PET, and which reach beyond it."""
    for problem, group in groupby(sorted(filter(_problem, drawn), key=_problem), key=_problem):
        members = list(group)
        numbers = ", ".join(str(one.source.number) for one in members)
        yield f"{_WORDS[members[0].source.kind]} {numbers}: {problem}"


def _problem(one: _Drawn) -> str:
    if one.patch.mask.any():
        return "reaches beyond the PET" if one.patch.clipped else ""
    if one.patch.clipped:
        return "outside the PET"
    return "holds no voxel centre of the PET"
