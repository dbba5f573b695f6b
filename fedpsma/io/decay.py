"""The clocks of a PET series: to which moment decay was corrected, when the dose was given, when a frame was measured.

Scanners differ in what they write, exports change it, and a wrong moment changes every SUV: 15 min are 10 % for F-18
and 17 % for Ga-68. So each source is believed only as far as the others do not deny it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import expm1, log, log2
from statistics import median
from typing import TypeGuard

from fedpsma.errors import InputError
from fedpsma.io.pet_header import PetHeader

INJECTION_TAG = "RadiopharmaceuticalStartDateTime (0018,1078) or RadiopharmaceuticalStartTime (0018,1072)"
_STANDARD_TAG = "DecayCorrectionDateTime (0018,9701)"
_SERIES_TAG = "SeriesTime (0008,0031)"
_ACQUISITION_TAG = "AcquisitionTime (0008,0032)"
_REFERENCE_TAG = "FrameReferenceTime (0054,1300)"
_FACTOR_TAG = "DecayFactor (0054,1321)"
_DURATION_TAG = "ActualFrameDuration (0018,1242)"
_DAY = timedelta(days=1)
# Series and acquisition time of the same start differ by less where one of them was rounded.
_SAME_START = timedelta(seconds=2)
_SAME_MOMENT = timedelta(seconds=60)
_LARGEST_FACTOR = 1e6
LARGEST_FRAME_DISAGREEMENT = timedelta(seconds=20)
LONGEST_UPTAKE_MIN = 300.0
SHORTEST_UPTAKE_MIN = 5.0
# With a longer half-life a scan on the day after the injection is usual, so that its date has to be known.
LONGEST_HALF_LIFE_WITHOUT_DATE_S = 41_400.0


@dataclass(frozen=True)
class DecayReference:
    """The moment to which a series was decay corrected, the tag it was taken from, and what the reader must know."""

    moment: datetime
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Uptake:
    """Minutes from the injection to a moment of the scan; negative where the clocks contradict each other."""

    minutes: float
    notes: tuple[str, ...] = ()


def decay_reference(header: PetHeader, *, where: str) -> DecayReference | None:
    """Find the moment to which the scanner corrected decay (DecayCorrection START), ``None`` where nothing tells it.

    An enhanced PET tells it outright. Else the series time is it by the vendor-neutral rule of QIBA, if no slice was
    measured before it; a series that was reprocessed has a later one. The vendor's own tag is it by the conformance
    statements of GE and Siemens. Where the two disagree by more than a minute, the frames decide. Without either, the
    moment is computed back from the frames (:func:`frames_reference`), or it is the first acquisition. A slice's own
    acquisition time is never taken alone, for it drifts from bed to bed.

    Raises:
        InputError: The sources disagree and nothing decides between them.
    """
    if header.decay_corrected_to is not None:
        return DecayReference(header.decay_corrected_to, _STANDARD_TAG)
    acquired = sorted(frame.acquired for frame in header.frames if frame.acquired is not None)
    series = _series_reference(header, acquired, where)
    vendor = _vendor_reference(header, acquired)
    frames = frames_reference(header)
    if series is not None and vendor is not None and abs(series.moment - vendor.moment) > _SAME_MOMENT:
        first = DecayReference(acquired[0], _ACQUISITION_TAG) if acquired else None
        return _decided(series, vendor, frames or first, where)
    told = vendor or series
    if told is not None:
        return _with_doubt(told, frames, acquired)
    return frames or _first_acquisition(header, acquired, where)


def frames_reference(header: PetHeader) -> DecayReference | None:
    """Compute the moment of decay correction back from the frames, ``None`` where they do not agree about it.

    DecayFactor holds the decay from the reference to the moment of the mean rate. Without it, FrameReferenceTime runs
    from the reference to the moment of the mean rate (Siemens, Philips) or to the start of the frame (GE).
    """
    half_life = header.half_life_s
    if not _is_positive(half_life) or not header.frames:
        return None
    for source, starts in (
        (_FACTOR_TAG, _references_by_factor(header, half_life)),
        (_REFERENCE_TAG, _references_by_frame_time(header, half_life)),
    ):
        if starts and max(starts) - min(starts) <= LARGEST_FRAME_DISAGREEMENT:
            return DecayReference(_middle(starts), f"{_ACQUISITION_TAG} and {source}")
    return None


def scan_start(header: PetHeader) -> datetime | None:
    """Return when the scan began, for the uptake time alone: the series time, if no slice was measured before it."""
    first = min((frame.acquired for frame in header.frames if frame.acquired is not None), default=None)
    start = header.series_start
    return start if start is not None and (first is None or start <= first + _SAME_START) else first


def mean_rate_moments(header: PetHeader, half_life_s: float, *, where: str) -> tuple[datetime, ...]:
    """Return for each slice the moment when the decaying rate equals its mean over the frame.

    Raises:
        InputError: A slice has no time or duration, or its frame denies it.
    """
    moments = []
    for frame in header.frames:
        if frame.acquired is None:
            raise _missing(_ACQUISITION_TAG, where)
        if not _is_positive(frame.duration_s):
            raise _missing(_DURATION_TAG, where)
        moments.append(frame.acquired + timedelta(seconds=_mean_rate_s(frame.duration_s, half_life_s)))
    if not moments:
        raise _missing(_ACQUISITION_TAG, where)
    references = _references_by_frame_time(header, half_life_s)
    if references and max(references) - min(references) > LARGEST_FRAME_DISAGREEMENT:
        raise _frames_disagree(references, where)
    return tuple(moments)


def uptake(header: PetHeader, until: datetime, *, where: str) -> Uptake | None:
    """Return the minutes from the injection to a moment of the scan, ``None`` where no injection is told.

    A time of day without a date belongs to the day of the scan, or to the day before where it would come later. A date
    that makes the uptake impossible was shifted by an export or mistyped: the time of day then counts as if it stood
    alone, and a note says so.

    Raises:
        InputError: Date and time and the time alone contradict each other, or the half-life is so long that the day
            of the injection has to be known and is not.
    """
    injected, alone = header.injected, header.injected_time
    if injected is not None and alone is not None:
        _require_same_clock(injected, datetime.combine(injected.date(), alone), where)
    if injected is not None and is_plausible(_minutes(until - injected), header.half_life_s):
        return Uptake(_minutes(until - injected))
    clock = injected.time() if injected is not None else alone
    if clock is None:
        return None
    if header.half_life_s is not None and header.half_life_s > LONGEST_HALF_LIFE_WITHOUT_DATE_S:
        raise InputError(
            "does not tell the day of the injection: RadiopharmaceuticalStartDateTime (0018,1078)",
            where=where,
            remedy="correct the tag; with this half-life the time of day is not enough",
        )
    guessed = datetime.combine(until.date(), clock)
    guessed -= _DAY if guessed > until else timedelta(0)
    if injected is None:
        return Uptake(_minutes(until - guessed))
    if guessed == injected or _minutes(until - guessed) < SHORTEST_UPTAKE_MIN:
        return Uptake(_minutes(until - injected))
    days = (injected.date() - guessed.date()).days
    return Uptake(_minutes(until - guessed), (f"the date of the injection is {days:+d} days off: its time was used",))


def is_plausible(minutes: float, half_life_s: float | None) -> bool:
    """Tell whether an uptake lies between nothing and five hours, or three half-lives where that is longer."""
    return 0.0 <= minutes <= max(LONGEST_UPTAKE_MIN, 3.0 * (half_life_s or 0.0) / 60.0)


def _series_reference(header: PetHeader, acquired: Sequence[datetime], where: str) -> DecayReference | None:
    start = header.series_start
    if start is None or not acquired:
        return None
    before = [moment for moment in acquired if moment < start - _SAME_START]
    if len(before) == 1 < len(acquired) - 1:
        raise InputError(
            f"has one slice whose {_ACQUISITION_TAG} lies before its {_SERIES_TAG}",
            where=where,
            remedy="export the original series",
        )
    return None if before else DecayReference(start, _SERIES_TAG)


def _vendor_reference(header: PetHeader, acquired: Sequence[datetime]) -> DecayReference | None:
    """Take the vendor's moment if no slice was measured before it; exports shift its date or forget to."""
    near = acquired[0] if acquired else header.series_start
    if header.vendor_start is None or header.vendor_tag is None or near is None:
        return None
    days = round((near - header.vendor_start) / _DAY)
    moment = header.vendor_start + days * _DAY
    if acquired and moment > acquired[0] + _SAME_START:
        return None
    notes = (f"the date in {header.vendor_tag} is {-days:+d} days off: its time was used",) if days else ()
    return DecayReference(moment, header.vendor_tag, notes)


def _decided(
    series: DecayReference, vendor: DecayReference, frames: DecayReference | None, where: str
) -> DecayReference:
    apart_s = abs(series.moment - vendor.moment).total_seconds()
    for one in (vendor, series):
        if frames is not None and abs(one.moment - frames.moment) <= _SAME_MOMENT:
            other = series if one is vendor else vendor
            note = f"{other.source} is {apart_s:.0f} s off: decay was corrected to {one.source}, by {frames.source}"
            return DecayReference(one.moment, one.source, (*one.notes, note))
    raise InputError(
        f"{series.source} and {vendor.source} disagree about the reference of decay by {apart_s:.0f} s",
        where=where,
        remedy="correct the wrong one",
    )


def _with_doubt(told: DecayReference, frames: DecayReference | None, acquired: Sequence[datetime]) -> DecayReference:
    """Keep what a tag tells, unless DecayFactor, by which the scanner multiplied, and the first acquisition deny it."""
    if frames is None or abs(told.moment - frames.moment) <= _SAME_MOMENT:
        return told
    apart_s = (told.moment - frames.moment).total_seconds()
    if frames.source.endswith(_FACTOR_TAG) and abs(frames.moment - acquired[0]) <= _SAME_MOMENT:
        note = f"{told.source} is {abs(apart_s):.0f} s off: decay was corrected to the first acquisition, by its factor"
        return DecayReference(frames.moment, frames.source, (*told.notes, note))
    side = "before" if apart_s > 0 else "after"
    note = f"{frames.source} put the reference of decay {abs(apart_s):.0f} s {side} {told.source}: check the SUV"
    return DecayReference(told.moment, told.source, (*told.notes, note))


def _first_acquisition(header: PetHeader, acquired: Sequence[datetime], where: str) -> DecayReference | None:
    """Take the first acquisition where no frame says that its bed came later than the reference."""
    if not acquired or len(acquired) < len(header.frames):
        return None
    if any(_is_positive(frame.reference_s) for frame in header.frames):
        raise _frames_disagree(acquired, where)
    slices = Counter(acquired)
    if len(slices) > 1 and slices[acquired[0]] == 1 and max(slices.values()) > 1:
        raise _frames_disagree(acquired, where)
    return DecayReference(acquired[0], _ACQUISITION_TAG)


def _references_by_factor(header: PetHeader, half_life_s: float) -> list[datetime]:
    """Compute the reference of decay from each slice by DecayFactor; empty where a slice does not tell."""
    moments = []
    for frame in header.frames:
        if frame.acquired is None or not _is_positive(frame.duration_s):
            return []
        if frame.decay_factor is None or not 1.0 < frame.decay_factor < _LARGEST_FACTOR:
            return []
        since_s = log2(frame.decay_factor) * half_life_s
        moments.append(frame.acquired + timedelta(seconds=_mean_rate_s(frame.duration_s, half_life_s) - since_s))
    return moments


def _references_by_frame_time(header: PetHeader, half_life_s: float) -> list[datetime]:
    """Compute the reference of decay from each slice by FrameReferenceTime; empty where a slice does not tell."""
    moments, to_start = [], _counts_to_frame_start(header)
    for frame in header.frames:
        if frame.acquired is None or frame.reference_s is None or not _is_positive(frame.duration_s):
            return []
        mean_rate_s = 0.0 if to_start else _mean_rate_s(frame.duration_s, half_life_s)
        moments.append(frame.acquired + timedelta(seconds=mean_rate_s - frame.reference_s))
    # Where it is zero everywhere, nobody filled it in.
    return moments if any(frame.reference_s for frame in header.frames) else []


def _counts_to_frame_start(header: PetHeader) -> bool:
    """Tell whether FrameReferenceTime runs to the start of the frame, as GE writes it, not to its mean rate."""
    maker = (header.manufacturer or "").upper()
    if maker.startswith("GE ") or maker in ("GE", "GEMS") or "GENERAL ELECTRIC" in maker:
        return True
    return any((frame.reference_s or 0.0) < 0.4 * (frame.duration_s or 0.0) for frame in header.frames)


def _mean_rate_s(duration_s: float, half_life_s: float) -> float:
    """Seconds into a frame at which the decaying rate equals its mean: ln(x / (1 - exp(-x))) / decay constant."""
    decay = log(2.0) / half_life_s
    return log(decay * duration_s / -expm1(-decay * duration_s)) / decay


def _middle(moments: Sequence[datetime]) -> datetime:
    """Return the median, which one wrong slice does not move."""
    first = min(moments)
    return first + timedelta(seconds=median((moment - first).total_seconds() for moment in moments))


def _require_same_clock(one: datetime, other: datetime, where: str) -> None:
    apart = abs(one - other)
    if min(apart, _DAY - apart) > _SAME_MOMENT:
        raise InputError(
            "RadiopharmaceuticalStartDateTime (0018,1078) and RadiopharmaceuticalStartTime (0018,1072) are "
            f"{apart.total_seconds() / 60:.0f} min apart",
            where=where,
            remedy="correct the wrong one",
        )


def _frames_disagree(references: Sequence[datetime], where: str) -> InputError:
    apart_s = (max(references) - min(references)).total_seconds()
    return InputError(
        f"{_REFERENCE_TAG} and {_ACQUISITION_TAG} disagree between slices about the reference of decay by "
        f"{apart_s:.0f} s",
        where=where,
        remedy="export the original series",
    )


def _missing(tag: str, where: str) -> InputError:
    return InputError(f"has a slice without {tag}", where=where, remedy="export the PET again with all its tags")


def _minutes(duration: timedelta) -> float:
    return duration.total_seconds() / 60.0


def _is_positive(value: float | None) -> TypeGuard[float]:
    return value is not None and 0.0 < value < float("inf")
