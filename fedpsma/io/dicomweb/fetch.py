"""Bring one study from an archive into a private folder (WADO-RS), from which the usual DICOM import reads it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from fedpsma.errors import InputError
from fedpsma.io.dicomweb.client import Pacs, asking
from fedpsma.io.dicomweb.find import answered_tags
from fedpsma.io.files import require_folder_or_nothing, write_bytes

MODALITIES = ("PT", "CT", "SEG", "RTSTRUCT")
"""What the import reads; everything else of a study stays in the archive."""
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64
_AS_STORED = (("application/dicom", "*"),)
OnInstance = Callable[[int, int], None]


@dataclass(frozen=True)
class Fetched:
    """Where a study lies now, and how many of its instances came now or were there already."""

    folder: Path
    new: int
    kept: int


@dataclass(frozen=True)
class _Instance:
    study: str
    series: str
    uid: str

    def place(self, folder: Path) -> Path:
        return folder / self.series / f"{self.uid}.dcm"


def fetch_study(pacs: Pacs, study_uid: str, folder: Path, on_instance: OnInstance | None = None) -> Fetched:
    """Fetch PET, CT, SEG and RTSTRUCT of a study as they are stored; what lies there already is not fetched again.

    Args:
        pacs: The archive.
        study_uid: Study Instance UID.
        folder: Made for its owner alone (mode 0700); the study gets a folder of its own in it, named by its UID.
        on_instance: Called after each instance with the number of instances done and of all.

    Raises:
        InputError: There is no such study with a PET, the folder is open to others, or the archive cannot be asked.
    """
    _require_uid(study_uid, "the study")
    _require_private(folder)
    wanted = _instances(pacs, study_uid)
    place = folder / study_uid
    new = 0
    for done, one in enumerate(wanted, start=1):
        path = one.place(place)
        if not path.exists():
            write_bytes(path, _fetched(pacs, one))
            new += 1
        if on_instance is not None:
            on_instance(done, len(wanted))
    return Fetched(place, new, len(wanted) - new)


def _instances(pacs: Pacs, study_uid: str) -> list[_Instance]:
    with asking(pacs):
        rows = [answered_tags(row, pacs.url) for row in pacs.web.search_for_series(study_uid)]
    series = {row.text("SeriesInstanceUID") or "": row.text("Modality") for row in rows}
    if "PT" not in series.values():
        raise InputError("has no study of this UID with a PET", where=pacs.url, remedy="look with fedpsma pacs find")
    found = []
    for series_uid in sorted(uid for uid, modality in series.items() if modality in MODALITIES):
        _require_uid(series_uid, pacs.url)
        with asking(pacs):
            answer = pacs.web.search_for_instances(study_uid, series_uid, get_remaining=True)
            uids = [answered_tags(row, pacs.url).text("SOPInstanceUID") or "" for row in answer]
        for uid in uids:
            _require_uid(uid, pacs.url)
        found += [_Instance(study_uid, series_uid, uid) for uid in sorted(set(uids))]
    return found


def _fetched(pacs: Pacs, one: _Instance) -> bytes:
    with asking(pacs):
        dataset = pacs.web.retrieve_instance(one.study, one.series, one.uid, media_types=_AS_STORED)
        told = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    if told != (one.study, one.series, one.uid):
        raise InputError("sends another instance than the one asked for", where=pacs.url, remedy="try again")
    with asking(pacs):
        return _file_bytes(dataset)


def _file_bytes(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _require_uid(uid: str, where: str) -> None:
    """Refuse what is no UID: it becomes the name of a file."""
    if len(uid) > _LONGEST_UID or _UID.fullmatch(uid) is None:
        raise InputError("has a UID that is none", where=where, remedy="copy it from fedpsma pacs find")


def _require_private(folder: Path) -> None:
    require_folder_or_nothing(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & 0o077:
        raise InputError(
            "is open to other users, and patients' names would lie in it",
            where=str(folder),
            remedy=f"run chmod 700 {folder}, or name a new folder",
        )
