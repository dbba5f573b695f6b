"""From stored PET values to SUVbw (g/ml), by the rules of each vendor.

The rules follow the vendor-neutral pseudo-code of QIBA, with two differences: a dose that was decay corrected to the
administration (``DecayCorrection`` ADMIN) is never decayed again, and the Siemens reference time is computed back from
the frame where the series time cannot be it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from math import expm1, log
from typing import TypeGuard

import numpy as np

from fedpsma.domain.study import Affine, FloatVolume
from fedpsma.errors import InputError

UNITS_TAG = "Units (0054,1001)"
DECAY_TAG = "DecayCorrection (0054,1102)"
START_TAG = "RadiopharmaceuticalStartDateTime (0018,1078) or RadiopharmaceuticalStartTime (0018,1072)"
REQUIRED_CORRECTIONS = {"ATTN": "attenuation", "DECY": "decay"}
LONGEST_UPTAKE_MIN = 300.0
SHORTEST_UPTAKE_MIN = 5.0
# Below this many becquerel a whole-body dose was almost certainly written in MBq.
SMALLEST_DOSE_BQ = 1e5
LARGEST_FRAME_DISAGREEMENT = timedelta(seconds=60)
LOWEST_MAXIMUM, HIGHEST_MAXIMUM = 0.5, 1000.0
BODY_SUV = 0.1
USUAL_BODY_MEAN = (0.2, 3.0)
WHOLE_BODY_MM = 400.0


@dataclass(frozen=True)
class FrameTiming:
    """When one slice was measured; ``None`` where the header is silent.

    ``reference_s`` is FrameReferenceTime and ``duration_s`` is ActualFrameDuration, both in seconds.
    """

    acquired: datetime | None = None
    reference_s: float | None = None
    duration_s: float | None = None


@dataclass(frozen=True)
class PetHeader:
    """What a PET series says of its units, its dose and its clock; ``None`` where the header is silent.

    ``injected`` is the moment with its date, ``injected_time`` the time of day alone, as older headers have it.
    ``ge_scan_start`` is GE's private (0009,100D), ``philips_suv`` and ``philips_bqml`` are Philips' private factors
    (7053,1000) and (7053,1009).
    """

    units: str | None = None
    suv_type: str | None = None
    corrections: frozenset[str] = frozenset()
    decay_correction: str | None = None
    weight_kg: float | None = None
    dose_bq: float | None = None
    half_life_s: float | None = None
    injected: datetime | None = None
    injected_time: time | None = None
    series_start: datetime | None = None
    ge_scan_start: datetime | None = None
    philips_suv: float | None = None
    philips_bqml: float | None = None
    frames: tuple[FrameTiming, ...] = ()


@dataclass(frozen=True)
class SuvFactor:
    """SUVbw = ``factor`` times the stored value after each slice's own rescale.

    ``uptake_min`` is the time from injection to the start of the scan in minutes; ``notes`` tells the reader how the
    factor came about and what was unusual.
    """

    factor: float
    uptake_min: float | None
    notes: tuple[str, ...]


def suv_factor(header: PetHeader, *, where: str) -> SuvFactor:
    """Compute the factor that turns rescaled PET values into SUVbw in g/ml.

    Args:
        header: What the series says.
        where: The name of the series, for the error.

    Raises:
        InputError: A tag that the factor needs is missing or wrong; the error names the tag.

    Example:
        >>> header = PetHeader(units="GML", corrections=frozenset({"ATTN", "DECY"}))
        >>> suv_factor(header, where="series 3").factor
        1.0
    """
    _require_corrections(header, where)
    if header.units is None:
        raise InputError(f"has no {UNITS_TAG}", where=where, remedy="export the PET again with all its tags")
    if header.units == "GML":
        return _from_gml(header, where)
    if header.units == "CNTS":
        return _from_counts(header, where)
    if header.units == "BQML":
        return _from_bqml(header, where, scale=1.0)
    raise InputError(f"{UNITS_TAG} is {header.units!r}", where=where, remedy="give a PET in BQML, GML or CNTS")


def scan_start(header: PetHeader, *, where: str) -> datetime | None:
    """Find the moment to which the scanner corrected decay, ``None`` where the header holds no clock.

    In this order: the series time, if no slice was measured before it; GE's private scan start; the moment computed
    back from every frame; the first acquisition. A slice's own acquisition time is never taken alone, for it drifts
    from bed to bed.

    Raises:
        InputError: The frames disagree about the moment by more than a minute.
    """
    acquired = [frame.acquired for frame in header.frames if frame.acquired is not None]
    if header.series_start is not None and (not acquired or header.series_start <= min(acquired)):
        return header.series_start
    if header.ge_scan_start is not None:
        return header.ge_scan_start
    computed = [_decay_reference(frame, header.half_life_s) for frame in header.frames]
    known = [moment for moment in computed if moment is not None]
    if not known or len(known) < len(computed):
        return min(acquired, default=None)
    if max(known) - min(known) > LARGEST_FRAME_DISAGREEMENT:
        raise InputError(
            "FrameReferenceTime (0054,1300) and AcquisitionTime (0008,0032) disagree between slices about the "
            f"reference of decay by {(max(known) - min(known)).total_seconds():.0f} s",
            where=where,
            remedy="export the original series",
        )
    return min(known)


def _require_corrections(header: PetHeader, where: str) -> None:
    for code, name in REQUIRED_CORRECTIONS.items():
        if code not in header.corrections:
            raise InputError(
                f"is not corrected for {name}: CorrectedImage (0028,0051) lacks {code}",
                where=where,
                remedy="give the corrected series",
            )


def _from_gml(header: PetHeader, where: str) -> SuvFactor:
    if header.suv_type not in (None, "BW"):
        raise InputError(
            f"holds SUV by {header.suv_type}, not by body weight: SUVType (0054,1006)",
            where=where,
            remedy="export it as BQML or as SUVbw",
        )
    return _without_decay(header, 1.0, "SUV as the scanner stored it (GML)", where)


def _from_counts(header: PetHeader, where: str) -> SuvFactor:
    if _is_positive(header.philips_suv):
        note = "SUV by the scanner's own factor, Philips (7053,1000)"
        return _without_decay(header, header.philips_suv, note, where)
    if not _is_positive(header.philips_bqml):
        raise InputError(
            f"{UNITS_TAG} is CNTS, but neither Philips (7053,1000) nor (7053,1009) is there",
            where=where,
            remedy="export it with its private tags, or as BQML",
        )
    return _from_bqml(header, where, scale=header.philips_bqml)


def _from_bqml(header: PetHeader, where: str, scale: float) -> SuvFactor:
    weight = _require(header.weight_kg, "PatientWeight (0010,1030)", where)
    dose = _require(header.dose_bq, "RadionuclideTotalDose (0018,1074)", where)
    if dose < SMALLEST_DOSE_BQ:
        raise InputError(
            f"RadionuclideTotalDose (0018,1074) is {dose:g}, too small for becquerel",
            where=where,
            remedy="correct the dose; perhaps it is in MBq",
        )
    grams = scale * weight * 1000.0
    if header.decay_correction == "ADMIN":
        note = "SUV from the dose as administered (DecayCorrection ADMIN)"
        return _without_decay(header, grams / dose, note, where)
    if header.decay_correction != "START":
        raise InputError(
            f"{DECAY_TAG} is {header.decay_correction!r}", where=where, remedy="give a PET with START or ADMIN"
        )
    half_life = _require(header.half_life_s, "RadionuclideHalfLife (0018,1075)", where)
    uptake = _required_uptake(header, where)
    notes = [f"SUV from the dose decayed over {uptake:.1f} min (DecayCorrection START)"]
    if uptake < SHORTEST_UPTAKE_MIN:
        notes.append(f"only {uptake:.1f} min between injection and scan: check the clocks")
    return SuvFactor(grams / (dose * 2.0 ** (-uptake * 60.0 / half_life)), uptake, tuple(notes))


def _without_decay(header: PetHeader, factor: float, note: str, where: str) -> SuvFactor:
    """Take a factor that needs no clock, so that a wrong clock costs the uptake time only."""
    uptake = _uptake(header, where)
    if uptake is None or _is_plausible(uptake, header):
        return SuvFactor(factor, uptake, (note,))
    return SuvFactor(factor, None, (note, f"uptake time unknown: the clocks say {uptake:.0f} min"))


def _required_uptake(header: PetHeader, where: str) -> float:
    uptake = _uptake(header, where)
    if uptake is None:
        silent = header.injected is None and header.injected_time is None
        raise InputError(
            f"has no {START_TAG if silent else 'SeriesTime (0008,0031)'}",
            where=where,
            remedy="export the PET again with all its tags",
        )
    if not _is_plausible(uptake, header):
        raise InputError(
            f"was scanned {uptake:.0f} min after the injection by {START_TAG}",
            where=where,
            remedy="correct the clocks; perhaps dates were shifted one by one",
        )
    return uptake


def _uptake(header: PetHeader, where: str) -> float | None:
    """Minutes from injection to scan; a time of day later than the scan means the day before."""
    start = scan_start(header, where=where)
    if start is None:
        return None
    injected = header.injected
    if injected is None and header.injected_time is not None:
        injected = datetime.combine((header.series_start or start).date(), header.injected_time)
        injected -= timedelta(days=1) if injected > start else timedelta(0)
    return None if injected is None else (start - injected).total_seconds() / 60.0


def _is_plausible(uptake_min: float, header: PetHeader) -> bool:
    longest = max(LONGEST_UPTAKE_MIN, 3.0 * (header.half_life_s or 0.0) / 60.0)
    return 0.0 <= uptake_min <= longest


def _decay_reference(frame: FrameTiming, half_life_s: float | None) -> datetime | None:
    """Find the moment to which one frame was corrected, after the Siemens conformance statement.

    FrameReferenceTime runs from that moment to when the decaying count rate equals its mean over the frame.
    """
    if frame.acquired is None or not _is_positive(frame.reference_s):
        return None
    if not (_is_positive(frame.duration_s) and _is_positive(half_life_s)):
        return None
    return frame.acquired + timedelta(seconds=_mean_rate_s(frame.duration_s, half_life_s) - frame.reference_s)


def _mean_rate_s(duration_s: float, half_life_s: float) -> float:
    """Seconds into a frame at which the decaying rate equals its mean: ln(x / (1 - exp(-x))) / decay constant."""
    decay = log(2.0) / half_life_s
    return log(decay * duration_s / -expm1(-decay * duration_s)) / decay


def _require(value: float | None, tag: str, where: str) -> float:
    if not _is_positive(value):
        raise InputError(f"has no usable {tag}", where=where, remedy="export the PET again with all its tags")
    return value


def _is_positive(value: float | None) -> TypeGuard[float]:
    return value is not None and 0.0 < value < float("inf")


def check_suv_range(pet: FloatVolume, affine: Affine, *, where: str) -> tuple[str, ...]:
    """Refuse a PET that cannot be SUVbw, and note one that hardly can.

    A volume whose hottest voxel stays under 0.5 or passes 1000 g/ml has another unit: even a crop with a lesion holds
    an SUV above 1, the hottest lesion voxel in the autoPET III training data has 393 g/ml, and Bq/ml run into tens of
    thousands. Every number that follows would be wrong, so this is refused. A mean over the body (voxels above 0.1)
    outside 0.2 to 3 in a scan of at least 400 mm only raises a note, since SUVbw averages near one by its definition.

    Raises:
        InputError: The hottest voxel is below 0.5 or above 1000.
    """
    hottest = float(pet.max())
    if not LOWEST_MAXIMUM <= hottest <= HIGHEST_MAXIMUM:
        raise InputError(
            f"has a maximum of {hottest:.4g}, which is no SUVbw in g/ml", where=where, remedy="check its unit and dose"
        )
    body = pet[pet > BODY_SUV]
    length_mm = pet.shape[2] * float(np.linalg.norm(affine[:3, 2]))
    mean = float(body.mean(dtype=np.float64))
    if length_mm < WHOLE_BODY_MM or USUAL_BODY_MEAN[0] <= mean <= USUAL_BODY_MEAN[1]:
        return ()
    return (f"mean SUV of the body is {mean:.2g} instead of about 1: check weight, dose and its unit",)
