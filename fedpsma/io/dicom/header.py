"""What the importer reads from DICOM headers, as plain values without a patient's name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydicom import Dataset
from pydicom.valuerep import DA, DT, TM

from fedpsma.errors import InputError
from fedpsma.io.radiopharmaceutical import RadiopharmaceuticalHeader
from fedpsma.io.suv import FrameTiming, PetHeader

GE_CREATOR = "GEMS_PETD_01"
PHILIPS_CREATOR = "Philips PET Private Group"
# These decide the factor of the whole series, so that they must not change from slice to slice.
_ONE_VALUE_A_SERIES = ("Units", "SUVType", "DecayCorrection", "PatientWeight", "PatientID", "SeriesDate", "SeriesTime")


def pet_header(slices: Sequence[Dataset], *, where: str) -> PetHeader:
    """Gather what the SUV factor of one PET series needs.

    Raises:
        InputError: A value cannot be read, or differs between the slices of the series.
    """
    for keyword in _ONE_VALUE_A_SERIES:
        _require_one_value(slices, keyword, where)
    first = slices[0]
    item = radiopharmaceutical_item(first)
    return PetHeader(
        units=text(first, "Units"),
        suv_type=text(first, "SUVType"),
        corrections=frozenset(str(code) for code in _multiple(first, "CorrectedImage")),
        decay_correction=text(first, "DecayCorrection"),
        weight_kg=number(first, "PatientWeight", where),
        dose_bq=number(item, "RadionuclideTotalDose", where),
        half_life_s=number(item, "RadionuclideHalfLife", where),
        injected=_local(_value(item, "RadiopharmaceuticalStartDateTime", DT, where)),
        injected_time=_value(item, "RadiopharmaceuticalStartTime", TM, where),
        series_start=moment(first, "Series", where),
        ge_scan_start=_local(_private(first, 0x0009, 0x0D, GE_CREATOR, DT, where)),
        philips_suv=_private(first, 0x7053, 0x00, PHILIPS_CREATOR, float, where),
        philips_bqml=_private(first, 0x7053, 0x09, PHILIPS_CREATOR, float, where),
        frames=tuple(_frame(one, where) for one in slices),
    )


def radiopharmaceutical_header(first: Dataset, *, where: str) -> RadiopharmaceuticalHeader:
    """Gather what names the tracer."""
    item = radiopharmaceutical_item(first)
    code, meaning = _code(item, "RadiopharmaceuticalCodeSequence")
    nuclide_code, nuclide_meaning = _code(item, "RadionuclideCodeSequence")
    return RadiopharmaceuticalHeader(
        name=text(item, "Radiopharmaceutical"),
        code=code,
        code_meaning=meaning,
        nuclide_code=nuclide_code,
        nuclide_meaning=nuclide_meaning,
        half_life_s=number(item, "RadionuclideHalfLife", where),
    )


def radiopharmaceutical_item(dataset: Dataset) -> Dataset:
    """Return the item of Radiopharmaceutical Information Sequence (0054,0016), empty where there is none."""
    items = dataset.get("RadiopharmaceuticalInformationSequence")
    return items[0] if items else Dataset()


def text(dataset: Dataset, keyword: str) -> str | None:
    """Return a text value without blanks round it; ``None`` where it is missing or empty."""
    value = dataset.get(keyword)
    return None if value is None else str(value).strip() or None


def number(dataset: Dataset, keyword: str, where: str) -> float | None:
    """Return a number; ``None`` where it is missing or empty.

    Raises:
        InputError: The value is not a number.
    """
    value: float | None = _value(dataset, keyword, float, where)
    return value


def moment(dataset: Dataset, prefix: str, where: str) -> datetime | None:
    """Return the moment of, for example, SeriesDate and SeriesTime; ``None`` where one of them is missing."""
    date, time = _value(dataset, f"{prefix}Date", DA, where), _value(dataset, f"{prefix}Time", TM, where)
    return None if date is None or time is None else datetime.combine(date, time)


def _frame(dataset: Dataset, where: str) -> FrameTiming:
    reference_ms = number(dataset, "FrameReferenceTime", where)
    duration_ms = number(dataset, "ActualFrameDuration", where)
    return FrameTiming(
        acquired=moment(dataset, "Acquisition", where),
        reference_s=None if reference_ms is None else reference_ms / 1000.0,
        duration_s=None if duration_ms is None else duration_ms / 1000.0,
    )


def _require_one_value(slices: Sequence[Dataset], keyword: str, where: str) -> None:
    values = {text(one, keyword) for one in slices}
    if len(values) > 1:
        shown = "" if keyword == "PatientID" else f" ({', '.join(sorted(map(str, values))[:3])})"
        raise InputError(f"mixes slices of different {keyword}{shown}", where=where, remedy="export one series alone")


def _value(dataset: Dataset, keyword: str, kind: Any, where: str) -> Any:
    content = text(dataset, keyword)
    return None if content is None else _read(content, keyword, kind, where)


def _private(dataset: Dataset, group: int, offset: int, creator: str, kind: Any, where: str) -> Any:
    try:
        content = dataset.get_private_item(group, offset, creator).value
    except KeyError:
        return None
    # An explicit transfer syntax may carry a private tag as raw bytes.
    content = content.decode("ascii", "replace") if isinstance(content, bytes) else str(content)
    content = content.strip("\0 ")
    return _read(content, f"({group:04X},10{offset:02X})", kind, where) if content else None


def _read(content: str, tag: str, kind: Any, where: str) -> Any:
    try:
        return kind(content)
    except ValueError as error:
        raise InputError(f"{tag} is {content[:40]!r}, not a value", where=where, remedy="correct the tag") from error


def _local(value: datetime | None) -> datetime | None:
    """Drop the offset: DICOM writes the local time beside it, as all other times of the header are."""
    return None if value is None else datetime.combine(value.date(), value.time())


def _multiple(dataset: Dataset, keyword: str) -> list[Any]:
    value = dataset.get(keyword)
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _code(item: Dataset, keyword: str) -> tuple[str | None, str | None]:
    sequence = item.get(keyword)
    if not sequence:
        return None, None
    scheme, value = text(sequence[0], "CodingSchemeDesignator"), text(sequence[0], "CodeValue")
    return (f"{scheme} {value}" if scheme and value else None), text(sequence[0], "CodeMeaning")
