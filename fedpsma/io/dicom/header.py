"""What the importer reads from the headers of a PET series, as plain values without a patient's name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pydicom.valuerep import TM

from fedpsma.errors import InputError
from fedpsma.io.dicom.consistency import require_one, require_one_quantity
from fedpsma.io.dicom.tags import Tags, tag_name
from fedpsma.io.pet_header import FrameTiming, PetHeader
from fedpsma.io.radiopharmaceutical import RadiopharmaceuticalHeader

# No patient decays for longer than a week.
LONGEST_MS = 7 * 86_400_000.0
PHILIPS_CREATOR = "Philips PET Private Group"
PHILIPS_SUV = (0x7053, 0x00, PHILIPS_CREATOR)
PHILIPS_BQML = (0x7053, 0x09, PHILIPS_CREATOR)
# The moment to which decay was corrected: "scan date and time" of GE, "decay correction date and time" of the Siemens
# conformance statements.
VENDOR_STARTS = {
    "GE (0009,100D)": (0x0009, 0x0D, "GEMS_PETD_01"),
    "Siemens (0071,1022)": (0x0071, 0x22, "SIEMENS MED PT"),
}


def pet_header(slices: Sequence[Tags], *, where: str) -> PetHeader:
    """Gather what the SUV factor of one PET series needs; ``frames`` follow the given slices.

    Raises:
        InputError: A value cannot be read, or differs between the slices of the series.
    """
    require_one_quantity(slices, where=where)
    first = slices[0]
    item = first.item("RadiopharmaceuticalInformationSequence")
    zone = first.zone()
    vendor_tag, vendor_start = _vendor_start(slices, where)
    return PetHeader(
        units=first.text("Units"),
        suv_type=first.text("SUVType"),
        corrections=frozenset(first.texts("CorrectedImage")),
        decay_correction=first.text("DecayCorrection"),
        manufacturer=first.text("Manufacturer"),
        weight_kg=first.number("PatientWeight"),
        dose_bq=item.number("RadionuclideTotalDose"),
        half_life_s=item.number("RadionuclideHalfLife"),
        injected=item.local("RadiopharmaceuticalStartDateTime", zone),
        injected_time=item.parsed("RadiopharmaceuticalStartTime", TM),
        series_start=first.moment("Series"),
        decay_corrected_to=first.local("DecayCorrectionDateTime", zone),
        vendor_start=vendor_start,
        vendor_tag=vendor_tag,
        philips_suv=_one_private_number(slices, PHILIPS_SUV, where),
        philips_bqml=_one_private_number(slices, PHILIPS_BQML, where),
        frames=tuple(_frame(one) for one in slices),
    )


def radiopharmaceutical_header(first: Tags) -> RadiopharmaceuticalHeader:
    """Gather what names the tracer."""
    item = first.item("RadiopharmaceuticalInformationSequence")
    code, meaning = _code(item, "RadiopharmaceuticalCodeSequence")
    nuclide_code, nuclide_meaning = _code(item, "RadionuclideCodeSequence")
    return RadiopharmaceuticalHeader(
        name=item.text("Radiopharmaceutical"),
        code=code,
        code_meaning=meaning,
        nuclide_code=nuclide_code,
        nuclide_meaning=nuclide_meaning,
        half_life_s=item.number("RadionuclideHalfLife"),
    )


def _vendor_start(slices: Sequence[Tags], where: str) -> tuple[str | None, datetime | None]:
    for name, place in VENDOR_STARTS.items():
        moments = [one.private_moment(*place, one.zone()) for one in slices]
        require_one(moments, name, where=where)
        if moments[0] is not None:
            return name, moments[0]
    return None, None


def _one_private_number(slices: Sequence[Tags], place: tuple[int, int, str], where: str) -> float | None:
    values = [one.private_number(*place) for one in slices]
    require_one(values, f"Philips ({place[0]:04X},10{place[1]:02X})", where=where)
    return values[0]


def _frame(one: Tags) -> FrameTiming:
    return FrameTiming(
        acquired=_acquired(one),
        reference_s=_seconds(one, "FrameReferenceTime"),
        duration_s=_seconds(one, "ActualFrameDuration"),
        decay_factor=one.number("DecayFactor"),
    )


def _acquired(one: Tags) -> datetime | None:
    """Return when a slice was measured; where its date was blanked, the day is that of the series, or the next one."""
    told = one.moment("Acquisition") or one.local("AcquisitionDateTime", one.zone())
    start, clock = one.moment("Series"), one.parsed("AcquisitionTime", TM)
    if told is not None or start is None or clock is None:
        return told
    moment = datetime.combine(start.date(), clock)
    return moment + timedelta(days=1) if start - moment > timedelta(hours=12) else moment


def _seconds(one: Tags, keyword: str) -> float | None:
    duration_ms = one.number(keyword)
    if duration_ms is None:
        return None
    if abs(duration_ms) > LONGEST_MS:
        raise InputError(
            f"{tag_name(keyword)} is {duration_ms:g}, no time in ms", where=one.where, remedy="correct the tag"
        )
    return duration_ms / 1000.0


def _code(item: Tags, keyword: str) -> tuple[str | None, str | None]:
    code = item.item(keyword)
    scheme, value = code.text("CodingSchemeDesignator"), code.text("CodeValue")
    return (f"{scheme} {value}" if scheme and value else None), code.text("CodeMeaning")
