"""Store what was made of a study in an archive (STOW-RS): SEG, SR and the PDF in DICOM, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SegmentationStorage

from fedpsma.errors import InputError
from fedpsma.io.dicom.tags import Tags, parsing
from fedpsma.io.dicomweb.client import Pacs, asking
from fedpsma.io.files import require_file

STORABLE = {
    SegmentationStorage: "DICOM Segmentation",
    Comprehensive3DSRStorage: "DICOM SR",
    EncapsulatedPDFStorage: "PDF in DICOM",
}


@dataclass(frozen=True)
class Derived:
    """A file to store: what it is, and the UIDs under which the archive will know it."""

    tags: Tags
    kind: str
    study_uid: str
    series_uid: str
    uid: str


def read_derived(path: Path) -> Derived:
    """Read a SEG, SR or PDF in DICOM.

    Raises:
        InputError: The file is missing, damaged, or something else; images are not sent.
    """
    require_file(path)
    with parsing(str(path), "is no DICOM file", "name what fedpsma report export wrote"):
        tags = Tags(dcmread(path), str(path))
    kind = STORABLE.get(tags.text("SOPClassUID") or "")
    if kind is None:
        remedy = "name the SEG, SR or PDF in DICOM that fedpsma report export wrote"
        raise InputError("is nothing that is stored from here", where=str(path), remedy=remedy)
    uids = [tags.text(name) or "" for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    return Derived(tags, kind, *uids)


def store(pacs: Pacs, files: Sequence[Derived], on_file: Callable[[int, int], None] | None = None) -> None:
    """Store files one by one; one that the archive has already under its UID is stored over itself.

    Raises:
        InputError: The archive cannot be reached, or refuses one of them; those before it are stored.
    """
    for done, one in enumerate(files, start=1):
        with asking(pacs):
            answer = Tags(pacs.web.store_instances([one.tags.dataset]), pacs.url)
        failed = answer.items("FailedSOPSequence")
        if failed:
            reason = failed[0].number("FailureReason")
            code = "" if reason is None else f" (failure reason {int(reason):04X})"
            raise InputError(f"refuses {one.kind}{code}", where=pacs.url, remedy="ask its administrator")
        if on_file is not None:
            on_file(done, len(files))
