"""What a PET series says of its units, its dose and its clocks, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time


@dataclass(frozen=True)
class FrameTiming:
    """When one slice was measured; ``None`` where the header is silent.

    ``acquired`` is the start of its frame, ``reference_s`` is FrameReferenceTime and ``duration_s`` is
    ActualFrameDuration, both in seconds, ``decay_factor`` is DecayFactor, by which the slice was multiplied.
    """

    acquired: datetime | None = None
    reference_s: float | None = None
    duration_s: float | None = None
    decay_factor: float | None = None


@dataclass(frozen=True)
class PetHeader:
    """What a PET series says of its units, its dose and its clocks; ``None`` where the header is silent.

    All moments are local times. ``injected`` has its date, ``injected_time`` is the time of day alone, as older headers
    have it. ``decay_corrected_to`` is DecayCorrectionDateTime, the standard tag of an enhanced PET; ``vendor_start`` is
    the same moment in a private tag, GE (0009,100D) or Siemens (0071,1022), which ``vendor_tag`` names.
    ``philips_suv`` and ``philips_bqml`` are Philips' private factors (7053,1000) and (7053,1009). ``frames`` follow the
    slices of the volume.
    """

    units: str | None = None
    suv_type: str | None = None
    corrections: frozenset[str] = frozenset()
    decay_correction: str | None = None
    manufacturer: str | None = None
    weight_kg: float | None = None
    dose_bq: float | None = None
    half_life_s: float | None = None
    injected: datetime | None = None
    injected_time: time | None = None
    series_start: datetime | None = None
    decay_corrected_to: datetime | None = None
    vendor_start: datetime | None = None
    vendor_tag: str | None = None
    philips_suv: float | None = None
    philips_bqml: float | None = None
    frames: tuple[FrameTiming, ...] = ()
