"""Which studies lie below a folder: every DICOM file is looked at once, and none stops the others."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fedpsma.errors import InputError
from fedpsma.io.dicom.contours import CONTOUR_CLASSES
from fedpsma.io.dicom.enhanced import ENHANCED_PET_CLASS, LEGACY_PET_CLASS
from fedpsma.io.dicom.tags import Tags, read_tags, tag_name

PET_CLASS = "1.2.840.10008.5.1.4.1.1.128"
ENHANCED_PET_CLASSES = (ENHANCED_PET_CLASS, LEGACY_PET_CLASS)
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality")
_INDEX = (
    *_IDENTITY,
    "SpecificCharacterSet",
    "ImageType",
    "StudyDate",
    "SeriesDescription",
    "SeriesNumber",
    "PatientID",
    "FrameOfReferenceUID",
    "CorrectedImage",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)


@dataclass(frozen=True)
class DamagedFile:
    """A DICOM file that cannot be read, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        """Render the one line that a command shows."""
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Instance:
    """What the index keeps of one file, as plain values.

    ``patient`` is Patient ID as it stands in the header: it makes pseudonyms and is never written. Its issuer plays no
    part, since archives add it to some exports of one man and not to others.
    ``position`` and ``orientation`` are Image Position and Image Orientation (Patient), in mm and as cosines.
    """

    path: Path
    uid: str
    sop_class: str
    study_uid: str
    series_uid: str
    modality: str
    number: str | None
    description: str | None
    day: str | None
    patient: str | None
    frame_of_reference: str | None
    image_type: tuple[str, ...]
    corrections: tuple[str, ...]
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None


@dataclass(frozen=True)
class Series:
    """The images of one series."""

    instances: tuple[Instance, ...] = field(repr=False)

    @property
    def first(self) -> Instance:
        """Any image, for what all of them share."""
        return self.instances[0]

    @property
    def name(self) -> str:
        """How messages call the series."""
        description = f", {self.first.description}" if self.first.description else ""
        return f"series {self.first.number or '?'} ({self.first.modality}{description})"

    @property
    def label(self) -> str:
        """How stored notes call the series: without its description, which is free text and may name the patient."""
        return f"series {self.first.number or '?'} ({self.first.modality})"


@dataclass(frozen=True)
class DicomStudy:
    """One study as its files tell: cheap to hold, no pixels.

    ``name`` and ``patient`` may name the patient: ``name`` is for messages on the user's own screen, ``patient`` for
    pseudonyms, and neither is ever written. ``contours`` are the SEG and RTSTRUCT files, ``others`` the modalities of
    whatever else the study holds, ``damaged`` the files in the folders of its PET and CT that cannot be read.
    """

    uid: str
    name: str
    patient: str | None
    pet: tuple[Series, ...]
    ct: tuple[Series, ...]
    contours: tuple[Path, ...]
    others: tuple[str, ...]
    damaged: tuple[DamagedFile, ...]


@dataclass(frozen=True)
class Found:
    """What lies below a folder."""

    studies: tuple[DicomStudy, ...]
    damaged: tuple[DamagedFile, ...]


def find_studies(folder: Path, on_file: Callable[[int, int], None] | None = None) -> Found:
    """Index every DICOM file below a folder, in any nesting and by any name, grouped by study and series.

    What is no DICOM file is passed over, and so is a DICOMDIR. The same instance counts once, however many copies of
    it lie there. A file that is damaged is listed and does not stop the others.

    Args:
        folder: The folder of an export.
        on_file: Called after each file with the number of files done and of all files.

    Raises:
        InputError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputError("is not a folder", where=str(folder), remedy="name the folder of the exported studies")
    paths = list(_all_files(folder))
    damaged: list[DamagedFile] = []
    studies: dict[str, dict[str, Instance]] = defaultdict(dict)
    for done, path in enumerate(paths, start=1):
        try:
            one = _index(path)
            if one is not None:
                _require_same_place(one, studies[one.study_uid].setdefault(one.uid, one))
        except InputError as error:
            damaged.append(DamagedFile(path, error.what))
        if on_file is not None:
            on_file(done, len(paths))
    found = [_study(list(instances.values()), damaged) for instances in studies.values()]
    return Found(tuple(sorted(found, key=lambda study: (study.name, study.uid))), tuple(damaged))


def _all_files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(parent, name)).is_file())


def _index(path: Path) -> Instance | None:
    """Read what the index needs of one file, ``None`` where it is no DICOM file or holds no instance."""
    if path.name == "DICOMDIR" or path.name.startswith("._") or not _looks_like_dicom(path):
        return None
    tags = read_tags(path, _INDEX)
    file_class = tags.file_class()
    if file_class == _DIRECTORY_CLASS:
        return None
    sop_class, uid, study_uid, series_uid, modality = (_required(tags, keyword) for keyword in _IDENTITY)
    if file_class not in (None, sop_class):
        raise InputError(f"contradicts its file header in {tag_name('SOPClassUID')}", where=str(path))
    return Instance(
        path=path,
        uid=uid,
        sop_class=sop_class,
        study_uid=study_uid,
        series_uid=series_uid,
        modality=modality,
        number=tags.text("SeriesNumber"),
        description=tags.text("SeriesDescription"),
        day=tags.text("StudyDate"),
        patient=tags.text("PatientID"),
        frame_of_reference=tags.text("FrameOfReferenceUID"),
        image_type=tags.texts("ImageType"),
        corrections=tags.texts("CorrectedImage"),
        position=tags.numbers("ImagePositionPatient"),
        orientation=tags.numbers("ImageOrientationPatient"),
    )


def _looks_like_dicom(path: Path) -> bool:
    """Tell by the first bytes, or by the name where a damaged file has lost them."""
    try:
        with path.open("rb") as stream:
            start = stream.read(136)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if start[128:132] == b"DICM" or start[132:136] == b"\2\0\0\0":
        return True
    # Files older than Part 10 begin with group 8 or 2 at once.
    return start[:2] in (b"\x08\x00", b"\x02\x00") or path.suffix.lower() in (".dcm", ".dicom")


def _required(tags: Tags, keyword: str) -> str:
    value = tags.text(keyword)
    if value is None:
        raise InputError(f"has no {tag_name(keyword)}", where=tags.where)
    return value


def _require_same_place(one: Instance, first: Instance) -> None:
    if (one.series_uid, one.position) != (first.series_uid, first.position):
        what = f"has the {tag_name('SOPInstanceUID')} of {first.path.name}, but another place"
        raise InputError(what, where=str(one.path))


def _study(instances: list[Instance], damaged: list[DamagedFile]) -> DicomStudy:
    pet = _series(instances, (PET_CLASS, *ENHANCED_PET_CLASSES))
    ct = _series(instances, (CT_CLASS,))
    first = pet[0].first if pet else instances[0]
    images = [one for series in (*pet, *ct) for one in series.instances]
    folders = {one.path.parent for one in images}
    contours = [one for one in instances if one.sop_class in CONTOUR_CLASSES]
    known = {one.uid for one in (*images, *contours)}
    return DicomStudy(
        uid=first.study_uid,
        name=_name(first, instances),
        patient=first.patient,
        pet=pet,
        ct=ct,
        contours=tuple(one.path for one in contours),
        others=tuple(sorted({one.modality for one in instances if one.uid not in known})),
        damaged=tuple(one for one in damaged if one.path.parent in folders),
    )


def _series(instances: list[Instance], sop_classes: tuple[str, ...]) -> tuple[Series, ...]:
    groups: dict[str, list[Instance]] = defaultdict(list)
    for one in instances:
        if one.sop_class in sop_classes:
            groups[one.series_uid].append(one)
    return tuple(Series(tuple(group)) for group in groups.values())


def _name(first: Instance, instances: list[Instance]) -> str:
    folder = os.path.commonpath([one.path.parent for one in instances])
    return f"{folder} (study of {first.day})" if first.day else folder
