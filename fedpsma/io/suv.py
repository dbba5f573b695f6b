"""From stored PET values to SUVbw (g/ml), by the rules of each vendor.

The rules follow the vendor-neutral pseudo-code of QIBA, with three differences: a dose that was decay corrected to the
administration (DecayCorrection ADMIN) is never decayed again, a series without decay correction (NONE) is corrected
frame by frame, and where the series time cannot be the reference of decay it is found by :mod:`fedpsma.io.decay`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeGuard

import numpy as np

from fedpsma.domain.study import Affine, FloatVolume
from fedpsma.errors import InputError
from fedpsma.io.decay import (
    INJECTION_TAG,
    SHORTEST_UPTAKE_MIN,
    decay_reference,
    is_plausible,
    mean_rate_moments,
    scan_start,
    uptake,
)
from fedpsma.io.pet_header import PetHeader

UNITS_TAG = "Units (0054,1001)"
DECAY_TAG = "DecayCorrection (0054,1102)"
CORRECTED_TAG = "CorrectedImage (0028,0051)"
DOSE_TAG = "RadionuclideTotalDose (0018,1074)"
WEIGHT_TAG = "PatientWeight (0010,1030)"
HALF_LIFE_TAG = "RadionuclideHalfLife (0018,1075)"
CORRECTIONS = {"ATTN": "attenuation", "DECY": "decay"}
# Below the least of these a whole-body dose was almost certainly written in MBq; nobody is given the largest.
DOSE_BQ = (1e5, 1e10)
# A weight above it was written in grams.
WEIGHT_KG = (1.0, 500.0)
# From Rb-82 to I-124, with a margin.
HALF_LIFE_S = (30.0, 1e6)
LOWEST_MAXIMUM, HIGHEST_MAXIMUM = 0.5, 1000.0
BODY_SUV = 0.1
USUAL_BODY_MEAN = (0.2, 3.0)
WHOLE_BODY_MM = 400.0


@dataclass(frozen=True)
class SuvFactor:
    """SUVbw = ``factor`` times the frame's own factor times the stored value after the slice's own rescale.

    ``frame_factors`` follow the frames of the header and differ from 1 only where the scanner had not corrected decay.
    ``method`` names the rule, ``decay_reference`` the tag that the moment of decay correction was taken from,
    ``decay_s`` are the seconds over which the dose was decayed, ``uptake_min`` the minutes from injection to the start
    of the scan. ``notes`` tells the reader how the factor came about and what was unusual.
    """

    factor: float
    method: str
    uptake_min: float | None = None
    decay_reference: str | None = None
    decay_s: float | None = None
    frame_factors: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


def suv_factor(header: PetHeader, *, where: str) -> SuvFactor:
    """Compute the factor that turns rescaled PET values into SUVbw in g/ml.

    Args:
        header: What the series says.
        where: The name of the series, for the error.

    Raises:
        InputError: A tag that the factor needs is missing, wrong or contradicted by another; the error names the tag.

    Example:
        >>> header = PetHeader(units="GML", corrections=frozenset({"ATTN", "DECY"}))
        >>> suv_factor(header, where="series 3").factor
        1.0
    """
    _require_corrections(header, where)
    if header.units is None:
        raise InputError(f"has no {UNITS_TAG}", where=where, remedy="export the PET again with all its tags")
    if header.units not in ("GML", "CNTS", "BQML"):
        raise InputError(f"{UNITS_TAG} is {header.units!r}", where=where, remedy="give a PET in BQML, GML or CNTS")
    if header.suv_type not in (None, "BW") and header.units != "BQML":
        raise InputError(
            f"holds SUV by {header.suv_type[:16]}, not by body weight: SUVType (0054,1006)",
            where=where,
            remedy="export it as BQML or as SUVbw",
        )
    if header.units == "GML":
        return _without_decay(header, 1.0, "SUV as the scanner stored it (GML)", where)
    if header.units == "CNTS":
        return _from_counts(header, where)
    return _from_bqml(header, where, scale=1.0)


def _require_corrections(header: PetHeader, where: str) -> None:
    """Require attenuation correction always, and decay correction unless the series says that there is none."""
    uncorrected = header.decay_correction == "NONE"
    if uncorrected and "DECY" in header.corrections:
        raise InputError(
            f"contradicts itself: {CORRECTED_TAG} holds DECY, but {DECAY_TAG} is NONE",
            where=where,
            remedy="correct the wrong one",
        )
    for code, name in CORRECTIONS.items():
        if code not in header.corrections and not (uncorrected and code == "DECY"):
            raise InputError(
                f"is not corrected for {name}: {CORRECTED_TAG} lacks {code}",
                where=where,
                remedy="give the corrected series",
            )


def _from_counts(header: PetHeader, where: str) -> SuvFactor:
    if _is_positive(header.philips_suv) and header.decay_correction != "NONE":
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
    weight = _require(header.weight_kg, WEIGHT_TAG, where)
    if not WEIGHT_KG[0] <= weight <= WEIGHT_KG[1]:
        raise InputError(f"{WEIGHT_TAG} is {weight:g}, no weight in kg", where=where, remedy="correct the weight")
    dose = _require(header.dose_bq, DOSE_TAG, where)
    if not DOSE_BQ[0] <= dose <= DOSE_BQ[1]:
        size = "small" if dose < DOSE_BQ[0] else "large"
        raise InputError(
            f"{DOSE_TAG} is {dose:g}, too {size} for becquerel",
            where=where,
            remedy="correct the dose; perhaps it is in MBq",
        )
    undecayed = scale * weight * 1000.0 / dose
    if header.decay_correction == "ADMIN":
        note = "SUV from the dose as administered (DecayCorrection ADMIN)"
        return _without_decay(header, undecayed, note, where)
    if header.decay_correction == "START":
        return _decayed_to_start(header, undecayed, where)
    if header.decay_correction == "NONE":
        return _decayed_frame_by_frame(header, undecayed, where)
    raise InputError(
        f"{DECAY_TAG} is {header.decay_correction!r}", where=where, remedy="give a PET with START, ADMIN or NONE"
    )


def _without_decay(header: PetHeader, factor: float, method: str, where: str) -> SuvFactor:
    """Take a factor that needs no clock, so that a wrong clock costs the uptake time only."""
    start = scan_start(header)
    try:
        found = None if start is None else uptake(header, start, where=where)
    except InputError as error:
        return SuvFactor(factor, method, notes=(method, f"uptake time unknown: {error.what}"))
    if found is None:
        return SuvFactor(factor, method, notes=(method,))
    if not is_plausible(found.minutes, header.half_life_s):
        return SuvFactor(factor, method, notes=(method, f"uptake time unknown: the clocks say {found.minutes:.0f} min"))
    return SuvFactor(factor, method, found.minutes, notes=(method, *found.notes))


def _decayed_to_start(header: PetHeader, undecayed: float, where: str) -> SuvFactor:
    half_life = _half_life(header, where)
    reference = decay_reference(header, where=where)
    if reference is None:
        raise InputError(
            "does not tell to which moment decay was corrected: AcquisitionTime (0008,0032), SeriesTime (0008,0031)",
            where=where,
            remedy="export the PET again with all its tags",
        )
    found = uptake(header, reference.moment, where=where)
    minutes, notes = _required(None if found is None else found.minutes, header, where), found.notes if found else ()
    factor = undecayed * 2.0 ** (minutes * 60.0 / half_life)
    method = f"SUV from the dose decayed over {minutes:.1f} min (DecayCorrection START)"
    notes = (method, *reference.notes, *notes)
    if header.decay_corrected_to is not None:
        # An enhanced PET may be corrected to another moment than its start, even to the injection.
        start = scan_start(header)
        scanned = None if start is None else start - reference.moment
        waited = None if scanned is None else minutes + scanned.total_seconds() / 60.0
        return SuvFactor(factor, method, waited, reference.source, minutes * 60.0, notes=notes)
    return SuvFactor(factor, method, minutes, reference.source, minutes * 60.0, notes=(*notes, *_short(minutes)))


def _decayed_frame_by_frame(header: PetHeader, undecayed: float, where: str) -> SuvFactor:
    """Correct each slice from the moment of its mean rate to the injection, to which the dose belongs."""
    half_life = _half_life(header, where)
    moments = mean_rate_moments(header, half_life, where=where)
    first = min(frame.acquired for frame in header.frames if frame.acquired is not None)
    found = uptake(header, first, where=where)
    minutes, notes = _required(None if found is None else found.minutes, header, where), found.notes if found else ()
    injected = first - timedelta(minutes=minutes)
    factors = tuple(2.0 ** ((moment - injected).total_seconds() / half_life) for moment in moments)
    method = "SUV from the dose as administered, decay corrected here slice by slice (DecayCorrection NONE)"
    return SuvFactor(
        undecayed,
        method,
        minutes,
        decay_reference="AcquisitionTime (0008,0032) and ActualFrameDuration (0018,1242)",
        frame_factors=factors,
        notes=(method, *notes, *_short(minutes)),
    )


def _half_life(header: PetHeader, where: str) -> float:
    half_life = _require(header.half_life_s, HALF_LIFE_TAG, where)
    if not HALF_LIFE_S[0] <= half_life <= HALF_LIFE_S[1]:
        raise InputError(
            f"{HALF_LIFE_TAG} is {half_life:g}, no half-life of a PET radionuclide in s",
            where=where,
            remedy="correct the tag",
        )
    return half_life


def _required(minutes: float | None, header: PetHeader, where: str) -> float:
    if minutes is None:
        raise InputError(f"has no {INJECTION_TAG}", where=where, remedy="export the PET again with all its tags")
    if not is_plausible(minutes, header.half_life_s):
        raise InputError(
            f"was scanned {minutes:.0f} min after the injection by {INJECTION_TAG}",
            where=where,
            remedy="correct the clocks; perhaps dates were shifted one by one",
        )
    return minutes


def _short(minutes: float) -> tuple[str, ...]:
    if minutes >= SHORTEST_UPTAKE_MIN:
        return ()
    return (f"only {minutes:.1f} min between injection and scan: check the clocks",)


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
