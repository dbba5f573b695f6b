"""What must be the same in every slice of a series, because it decides the whole volume."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import FloatVolume
from fedpsma.errors import InputError
from fedpsma.io.dicom.tags import Tags, shown, tag_name

# Numbers are written with up to 16 characters, and differ in the last where software rounds; cosines may be near zero.
_ROUNDING = 1e-5
_COSINE_ROUNDING = 1e-4
_TEXTS = (
    "SOPClassUID",
    "Modality",
    "PatientID",
    "IssuerOfPatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Manufacturer",
    "ManufacturerModelName",
    "PhotometricInterpretation",
)
_NUMBERS = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelSpacing",
)
_PET_TEXTS = (
    "Units",
    "SUVType",
    "DecayCorrection",
    "CorrectedImage",
    "SeriesDate",
    "SeriesTime",
    "TimezoneOffsetFromUTC",
    "SeriesType",
    "DecayCorrectionDateTime",
)
_PET_NUMBERS = ("PatientWeight", "NumberOfSlices")
_DOSE_TEXTS = ("RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime", "Radiopharmaceutical")
_DOSE_NUMBERS = ("RadionuclideTotalDose", "RadionuclideHalfLife")
_CODES = ("RadionuclideCodeSequence", "RadiopharmaceuticalCodeSequence")
# With fewer slices than this none can be told to be the odd one.
_ENOUGH = 4
_SAME_PLACE_MM = 0.02
_JUMP = 1.4
# Nobody may read in a message what identifies the patient.
_SILENT = {"PatientID", "IssuerOfPatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"}


def require_one_image_kind(slices: Sequence[Tags], *, where: str) -> None:
    """Require that all slices are of one patient, one kind of pixel and one grid in their plane.

    Raises:
        InputError: A tag differs between slices; it is named.
    """
    for keyword in _TEXTS:
        _require_one(slices, keyword, lambda one, key: one.texts(key), where)
    for keyword in _NUMBERS:
        _require_one(slices, keyword, lambda one, key: one.numbers(key), where)
    _require_one(slices, "ImageOrientationPatient", lambda one, key: one.numbers(key), where, _COSINE_ROUNDING)


def require_one_quantity(slices: Sequence[Tags], *, where: str) -> None:
    """Require that everything that decides the SUV of a PET series is the same in all its slices.

    Raises:
        InputError: A tag differs between slices; it is named.
    """
    for keyword in _PET_TEXTS:
        _require_one(slices, keyword, lambda one, key: one.texts(key), where)
    for keyword in _PET_NUMBERS:
        _require_one(slices, keyword, lambda one, key: one.numbers(key), where)
    items = [one.item("RadiopharmaceuticalInformationSequence") for one in slices]
    for keyword in _DOSE_TEXTS:
        _require_one(items, keyword, lambda one, key: one.texts(key), where)
    for keyword in _DOSE_NUMBERS:
        _require_one(items, keyword, lambda one, key: one.numbers(key), where)
    for keyword in _CODES:
        _require_one(items, keyword, lambda one, key: one.item(key).texts("CodeValue"), where)


def require_one(values: Sequence[Any], name: str, *, where: str, absolute: float = 0.0) -> None:
    """Require that all values agree, numbers up to rounding; ``None`` agrees with ``None`` only.

    Args:
        values: Numbers, texts or tuples of them, one a slice.
        name: How a message calls them.
        where: The name of the series.
        absolute: By how much numbers may differ beside their rounding.

    Raises:
        InputError: They do not.
    """
    distinct = list(dict.fromkeys(values))
    if all(_agree(distinct[0], other, absolute) for other in distinct[1:]):
        return
    shown = "" if name.split()[0] in _SILENT else f" ({', '.join(_shown(value) for value in distinct[:3])})"
    raise InputError(f"mixes slices of different {name}{shown}", where=where, remedy="export one series alone")


def require_no_outlier(values: Sequence[float], name: str, *, where: str) -> None:
    """Refuse a tag that may differ from slice to slice, but where one slice alone stands against all others.

    Raises:
        InputError: One does.
    """
    counted = Counter(values)
    if len(values) >= _ENOUGH and len(counted) == 2 and min(counted.values()) == 1:
        odd = min(counted, key=lambda value: counted[value])
        raise InputError(
            f"has one slice whose {name} is {odd:.6g}, unlike that of all others",
            where=where,
            remedy="export the series again",
        )


def require_steady_scale(
    slopes: Sequence[float], data: FloatVolume, places_mm: NDArray[np.float64], *, where: str
) -> None:
    """Refuse a slice whose Rescale Slope makes all of it jump against both its neighbours, which no body does.

    Slopes that differ from slice to slice are usual for GE. In a real series of slices 3.3 mm apart the activity of a
    slice passes that of both neighbours by 2 % at most, though its slope may by 40 %, so that both together, and the
    median voxel with them, tell a corrupted slope from a hot lesion.

    Args:
        slopes: Rescale Slope of each slice.
        data: Rescaled values (slice, row, column).
        places_mm: Where the slices lie along their normal.
        where: The name of the series.

    Raises:
        InputError: There is such a slice.
    """
    if len(slopes) < 3 or len(set(slopes)) == 1:
        return
    sampled = data[:, ::2, ::2]
    median = [float(np.median(one[one > 0])) if (one > 0).any() else 0.0 for one in sampled]
    levels = np.array([slopes, sampled.mean(axis=(1, 2)), median])
    middle, before, after = levels[:, 1:-1], levels[:, :-2], levels[:, 2:]
    up = (middle > _JUMP * np.maximum(before, after)).all(axis=0)
    down = (_JUMP * middle < np.minimum(before, after)).all(axis=0)
    jumps = np.flatnonzero(up | down)
    if jumps.size:
        k = int(jumps[0]) + 1
        raise InputError(
            f"has a slice at {places_mm[k]:.1f} mm that does not fit to its neighbours: its "
            f"{tag_name('RescaleSlope')} is {slopes[k]:g}, theirs {slopes[k - 1]:g} and {slopes[k + 1]:g}",
            where=where,
            remedy="export the series again",
        )


def require_order(slices: Sequence[Tags], places_mm: NDArray[np.float64], *, where: str) -> None:
    """Refuse slices, sorted by place, of which one or two lie where their number or their location denies it.

    A series whose numbers do not follow the places at all is left alone: some archives number by arrival.

    Raises:
        InputError: They do.
    """
    for keyword in ("InstanceNumber", "ImageIndex", "SliceLocation"):
        numbers = [one.number(keyword) for one in slices]
        known = [number for number in numbers if number is not None]
        if len(known) < max(_ENOUGH, len(numbers)) or len(set(known)) < len(known):
            continue
        misplaced = len(known) - max(_longest_rise(known), _longest_rise(known[::-1]))
        if keyword == "SliceLocation":
            misplaced = max(misplaced, _off_their_location(np.array(known), places_mm))
        if 0 < misplaced <= 2:
            raise InputError(
                f"has slices out of order: {tag_name(keyword)} contradicts {tag_name('ImagePositionPatient')}",
                where=where,
                remedy="export the original series",
            )


def _off_their_location(locations: NDArray[np.float64], places_mm: NDArray[np.float64]) -> int:
    """Count the slices whose location differs from their place by another amount than that of the others."""
    sign = 1.0 if locations[-1] > locations[0] else -1.0
    apart = locations - sign * places_mm
    return int((np.abs(apart - np.median(apart)) > _SAME_PLACE_MM).sum())


def _require_one(
    slices: Sequence[Tags],
    keyword: str,
    read: Callable[[Tags, str], Any],
    where: str,
    absolute: float = 0.0,
) -> None:
    require_one([read(one, keyword) for one in slices], tag_name(keyword), where=where, absolute=absolute)


def _agree(one: Any, other: Any, absolute: float) -> bool:
    if one is None or other is None or isinstance(one, str):
        return bool(one == other)
    one, other = np.atleast_1d(np.array(one)), np.atleast_1d(np.array(other))
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool((one == other).all())
    return bool(np.allclose(one, other, rtol=_ROUNDING, atol=absolute))


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "\\".join(_shown(part) for part in value) or "none"
    return f"{value:g}" if isinstance(value, float) else shown("none" if value is None else str(value))


def _longest_rise(values: Sequence[float]) -> int:
    """Return how many values a rising row that is picked from them can hold."""
    ends: list[float] = []
    for value in values:
        at = bisect_left(ends, value)
        ends[at : at + 1] = [value]
    return len(ends)
