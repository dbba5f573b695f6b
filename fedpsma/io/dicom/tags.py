"""The one door through which DICOM files are read: what pydicom stumbles over becomes an error that names the file.

A damaged file may fail at any tag, since pydicom decodes a value only when it is asked for. Everything behind this
module therefore works with plain values, and nothing else catches what a parser raises.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import DA, DT, TM

from fedpsma.errors import InputError
from fedpsma.io.dicom.decoder import decode

# Their records quote values of the header, the patient's name among them, and a log outlives the session.
for _reader in ("pydicom", "highdicom"):
    logging.getLogger(_reader).setLevel(logging.CRITICAL)
# Real PET and CT matrices end at 1024; a corrupted header must not ask for more memory than this.
LARGEST_EDGE = 4096
LARGEST_VOLUME = 2**30
# There was no DICOM before, but exports write such dates for deleted ones.
_YEARS = (1900, 2200)
_AGAIN = "export or copy it again"


@contextmanager
def parsing(where: str, what: str = "is damaged", remedy: str = _AGAIN) -> Iterator[None]:
    """Turn whatever a DICOM parser or decoder raises into :class:`InputError`; only calls to such belong inside."""
    try:
        with warnings.catch_warnings():
            # They quote values of the header, and every value that matters is checked here anyway.
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:
        reason = one_line(str(error))[:160] or type(error).__name__
        raise InputError(f"{what} ({reason})", where=where, remedy=remedy) from error


def tag_name(keyword: str) -> str:
    """Return how messages call a tag.

    Example:
        >>> tag_name("Units")
        'Units (0054,1001)'
    """
    tag = tag_for_keyword(keyword) or 0
    return f"{keyword} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def one_line(text: str) -> str:
    r"""Return a text without blanks round it and with a question mark for what cannot be shown.

    Example:
        >>> one_line("PET\nAC \0")
        'PET?AC'
    """
    text = text.strip("\0 \t\r\n")
    return text if text.isprintable() else "".join(sign if sign.isprintable() else "?" for sign in text)


def shown(text: str) -> str:
    """Return as much of a value as a message may quote: a corrupted length lets it run into the tags behind it.

    Example:
        >>> shown("100000?PN?Muster^Max")
        '100000'
    """
    return text.partition("?")[0][:40]


@dataclass(frozen=True)
class Tags:
    """One header, or one item of a sequence; every method raises :class:`InputError` where a value cannot be read."""

    dataset: Dataset
    where: str

    def raw(self, keyword: str) -> Any:
        """Return the decoded value, ``None`` where the tag is missing or empty."""
        with parsing(self.where, f"{tag_name(keyword)} cannot be read"):
            value = self.dataset.get(keyword)
            return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value

    def text(self, keyword: str) -> str | None:
        """Return a text without blanks round it; ``None`` where it is missing or empty."""
        value = self.raw(keyword)
        return None if value is None else one_line(str(value)) or None

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return every value of a tag as text."""
        value = self.raw(keyword)
        values = value if isinstance(value, (MultiValue, list, tuple)) else (value,)
        return tuple(one_line(str(one)) for one in values if one is not None)

    def numbers(self, keyword: str) -> tuple[float, ...] | None:
        """Return every value of a tag as a finite number; ``None`` where it is missing or empty."""
        content = self.texts(keyword)
        return tuple(self._finite(one, tag_name(keyword)) for one in content) if content else None

    def number(self, keyword: str) -> float | None:
        """Return a tag that holds one finite number; ``None`` where it is missing or empty."""
        values = self.numbers(keyword)
        if values is not None and len(values) != 1:
            raise self._wrong(tag_name(keyword), f"{len(values)} values", "one number")
        return None if values is None else values[0]

    def moment(self, prefix: str) -> datetime | None:
        """Return the moment of, for example, SeriesDate and SeriesTime; ``None`` where one of them is missing."""
        date, time = self.parsed(f"{prefix}Date", DA), self.parsed(f"{prefix}Time", TM)
        return None if date is None or time is None else datetime.combine(date, time)

    def parsed(self, keyword: str, kind: Callable[[str], Any]) -> Any:
        """Return a date, time or moment by pydicom's type for it; ``None`` where it is missing or empty."""
        content = self.text(keyword)
        return None if content is None else self._parse(content, tag_name(keyword), kind)

    def local(self, keyword: str, zone: timezone | None) -> datetime | None:
        """Return a moment in the local time of ``zone``, in which all other times of the header are written."""
        return to_local(self.parsed(keyword, DT), zone)

    def item(self, keyword: str) -> Tags:
        """Return the one item of a sequence; empty where there is none."""
        items = self.items(keyword)
        if len(items) > 1:
            raise self._wrong(tag_name(keyword), f"{len(items)} items", "one")
        return items[0] if items else Tags(Dataset(), self.where)

    def items(self, keyword: str) -> tuple[Tags, ...]:
        """Return all items of a sequence."""
        value = self.raw(keyword)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or not all(isinstance(one, Dataset) for one in value):
            raise self._wrong(tag_name(keyword), "no sequence", "a sequence")
        return tuple(Tags(one, self.where) for one in value)

    def private_text(self, group: int, offset: int, creator: str) -> str | None:
        """Return a private value as text; ``None`` where its creator or the tag is missing, or the value is empty."""
        name = f"({group:04X},10{offset:02X})"
        with parsing(self.where, f"{name} cannot be read"):
            try:
                value = self.dataset.get_private_item(group, offset, creator).value
            except KeyError:
                return None
            # An explicit transfer syntax may carry a private tag as raw bytes.
            content = value.decode("ascii") if isinstance(value, bytes) else str("" if value is None else value)
        return one_line(content) or None

    def private_number(self, group: int, offset: int, creator: str) -> float | None:
        """Return a private value as a finite number."""
        content = self.private_text(group, offset, creator)
        return None if content is None else self._finite(content, f"({group:04X},10{offset:02X})")

    def private_moment(self, group: int, offset: int, creator: str, zone: timezone | None) -> datetime | None:
        """Return a private moment in local time."""
        content = self.private_text(group, offset, creator)
        name = f"({group:04X},10{offset:02X})"
        return None if content is None else to_local(self._parse(content, name, DT), zone)

    def file_class(self) -> str | None:
        """Return the SOP class by the file's own header, ``None`` where it does not tell."""
        with parsing(self.where):
            value = self.dataset.file_meta.get("MediaStorageSOPClassUID")
        return None if value is None else str(value)

    def zone(self) -> timezone | None:
        """Return the offset of the header's local times from UTC; ``None`` where it is not told."""
        content = self.text("TimezoneOffsetFromUTC")
        if content is None:
            return None
        name = tag_name("TimezoneOffsetFromUTC")
        offset: timezone = self._parse(content, name, lambda sign: datetime.strptime(sign, "%z").tzinfo)
        return offset

    def _finite(self, content: str, name: str) -> float:
        value: float = self._parse(content, name, float)
        if not math.isfinite(value):
            raise self._wrong(name, repr(shown(content)), "a number")
        return value

    def _parse(self, content: str, name: str, kind: Callable[[str], Any]) -> Any:
        try:
            with parsing(self.where):
                value = kind(content)
        except InputError as error:
            raise self._wrong(name, repr(shown(content)), "a value of its kind") from error
        if value is None or not _YEARS[0] <= getattr(value, "year", _YEARS[0]) <= _YEARS[1]:
            raise self._wrong(name, repr(shown(content)), "a value of its kind")
        return value

    def _wrong(self, name: str, found: str, wanted: str) -> InputError:
        return InputError(f"{name} is {found} instead of {wanted}", where=self.where, remedy="correct the tag")


def to_local(moment: datetime | None, zone: timezone | None) -> datetime | None:
    """Drop the offset of a moment, after bringing it to the header's own zone where both are told.

    Example:
        >>> from datetime import timedelta
        >>> to_local(datetime(2024, 1, 31, 9, tzinfo=timezone.utc), timezone(timedelta(hours=1)))
        datetime.datetime(2024, 1, 31, 10, 0)
    """
    if moment is None:
        return None
    if moment.tzinfo is not None and zone is not None:
        moment = moment.astimezone(zone)
    return datetime.combine(moment.date(), moment.time())


def read_tags(path: Path, keywords: Sequence[str] | None = None) -> Tags:
    """Read a header without its pixels: all of it, or only some tags.

    Raises:
        InputError: The file is damaged.
    """
    chosen = None if keywords is None else list(keywords)
    with parsing(str(path)):
        return Tags(dcmread(path, stop_before_pixels=True, specific_tags=chosen, force=True), str(path))


def read_image(path: Path) -> tuple[Tags, NDArray[Any]]:
    """Read a header and its stored values (frame, row, column), before any rescale.

    Raises:
        InputError: The file is damaged, holds colours or no pixels, or its compression cannot be decoded.
    """
    with parsing(str(path)):
        dataset = dcmread(path, force=True)
    tags = Tags(dataset, str(path))
    with parsing(str(path), f"has no usable {tag_name('TransferSyntaxUID')}"):
        syntax = _transfer_syntax(dataset)
        name, compressed = syntax.name, syntax.is_compressed
    shape = _require_sound_pixels(tags, compressed=compressed)
    with parsing(str(path), f"cannot be decoded from {name}", "export it uncompressed, or copy it again"):
        pixels = decode(path) if compressed else np.asarray(dataset.pixel_array)
        # The stored values are held once, not twice.
        del dataset.PixelData
    if pixels.size != np.prod(shape):
        raise InputError(f"holds {pixels.size} voxels instead of {shape}", where=str(path), remedy=_AGAIN)
    return tags, pixels.reshape(shape)


def _transfer_syntax(dataset: Dataset) -> UID:
    """Return the transfer syntax; a file older than Part 10 has none, and pydicom has found out by reading it."""
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, _ = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return UID(dataset.file_meta.TransferSyntaxUID)


def _require_sound_pixels(tags: Tags, *, compressed: bool) -> tuple[int, int, int]:
    """Check everything by which the decoder allocates memory, and return (frames, rows, columns)."""
    rows, columns = _edge(tags, "Rows"), _edge(tags, "Columns")
    if tags.number("SamplesPerPixel") != 1 or tags.text("PhotometricInterpretation") != "MONOCHROME2":
        raise _unsound(tags, "SamplesPerPixel", "PhotometricInterpretation")
    bits, stored = tags.number("BitsAllocated"), tags.number("BitsStored")
    if bits not in (8, 16, 32) or stored is None or not 0 < stored <= bits:
        raise _unsound(tags, "BitsAllocated", "BitsStored")
    if tags.number("HighBit") != stored - 1 or tags.number("PixelRepresentation") not in (0, 1):
        raise _unsound(tags, "HighBit", "PixelRepresentation")
    frames = tags.number("NumberOfFrames")
    frames = 1.0 if frames is None else frames
    if not (frames.is_integer() and 0 < frames * rows * columns <= LARGEST_VOLUME):
        raise _unsound(tags, "NumberOfFrames")
    stream = tags.raw("PixelData")
    if not isinstance(stream, bytes):
        raise InputError(f"has no {tag_name('PixelData')}", where=tags.where, remedy=_AGAIN)
    expected = int(frames) * rows * columns * int(bits) // 8
    if not compressed and len(stream) not in (expected, expected + expected % 2):
        found = f"{tag_name('PixelData')} has {len(stream)} bytes instead of {expected}"
        raise InputError(found, where=tags.where, remedy=_AGAIN)
    return int(frames), rows, columns


def _edge(tags: Tags, keyword: str) -> int:
    edge = tags.number(keyword)
    if edge is None or not 0 < edge <= LARGEST_EDGE:
        raise _unsound(tags, keyword)
    return int(edge)


def _unsound(tags: Tags, *keywords: str) -> InputError:
    found = ", ".join(f"{tag_name(keyword)} is {shown(tags.text(keyword) or 'missing')}" for keyword in keywords)
    return InputError(f"is no grey image that can be read: {found}", where=tags.where, remedy=_AGAIN)
