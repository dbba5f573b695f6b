"""The clocks of a PET: which of them is believed, and which contradiction is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from pet_headers import F18_S, NOON, PLAIN_HEADER

from fedpsma.errors import InputError
from fedpsma.io.decay import DecayReference, decay_reference, frames_reference, mean_rate_moments, uptake
from fedpsma.io.pet_header import FrameTiming, PetHeader
from fedpsma.io.suv import suv_factor

BED_S = 120.0
DECAY = np.log(2) / F18_S
MEAN_RATE_S = float(np.log(DECAY * BED_S / (1 - np.exp(-DECAY * BED_S))) / DECAY)


def _beds(to_start: bool = False, factor: bool = False, clock: datetime = NOON) -> tuple[FrameTiming, ...]:
    """Six beds 130 s apart; the reference time runs to the mean rate (Siemens) or to the start of the frame (GE)."""
    return tuple(
        FrameTiming(
            clock + timedelta(seconds=130 * bed),
            130 * bed + (0 if to_start else MEAN_RATE_S),
            BED_S,
            2 ** ((130 * bed + MEAN_RATE_S) / F18_S) if factor else None,
        )
        for bed in range(6)
    )


HEADER = replace(PLAIN_HEADER, frames=_beds())
LATE = replace(HEADER, series_start=NOON + timedelta(hours=2))


def _found(header: PetHeader) -> DecayReference:
    found = decay_reference(header, where="series")
    assert found is not None
    return found


@pytest.mark.parametrize("to_start", [False, True])
@pytest.mark.parametrize("factor", [False, True])
def test_reprocessed_series_is_referred_to_where_its_frames_tell(to_start: bool, factor: bool) -> None:
    found = _found(replace(LATE, frames=_beds(to_start, factor)))
    assert abs(found.moment - NOON) < timedelta(milliseconds=2)
    assert ("DecayFactor" if factor else "FrameReferenceTime") in found.source


def test_late_bed_alone_counts_to_the_frame_start_for_ge_only() -> None:
    """The last bed of a series cut to it: nothing but the maker tells what the reference time runs to."""
    bed = (_beds(to_start=True)[5],)
    ge = frames_reference(replace(LATE, manufacturer="GE MEDICAL SYSTEMS", frames=bed))
    siemens = frames_reference(replace(LATE, manufacturer="SIEMENS", frames=bed))
    assert ge is not None
    assert siemens is not None
    assert abs(ge.moment - NOON) < timedelta(milliseconds=2)
    assert (siemens.moment - ge.moment).total_seconds() == pytest.approx(MEAN_RATE_S)


def test_one_wrong_slice_does_not_move_the_reference() -> None:
    beds = list(_beds())
    beds[0] = replace(beds[0], acquired=NOON + timedelta(seconds=15))
    assert abs(_found(replace(LATE, frames=tuple(beds))).moment - NOON) < timedelta(milliseconds=2)


def test_acquisition_time_of_the_series_in_every_bed_tells_no_bed() -> None:
    """GE Discovery ST writes the start of the scan as AcquisitionTime of every bed (STS_001)."""
    frames = tuple(replace(bed, acquired=NOON) for bed in _beds(to_start=True, factor=True))
    assert frames_reference(replace(HEADER, frames=frames)) is None
    assert _found(replace(HEADER, frames=frames)) == DecayReference(NOON, "SeriesTime (0008,0031)")
    with pytest.raises(InputError, match="disagree between slices"):
        decay_reference(replace(LATE, frames=frames), where="series")


@pytest.mark.parametrize("days", [-400, -1, 0, 1])
def test_vendor_moment_counts_by_its_time_where_its_date_was_shifted(days: int) -> None:
    """De-identified Siemens series are found whose (0071,1022) lies a day before all other dates."""
    start = NOON + timedelta(days=days)
    found = _found(replace(LATE, frames=(), vendor_start=start, vendor_tag="Siemens (0071,1022)"))
    assert found.moment.time() == NOON.time()
    frames = tuple(FrameTiming(bed.acquired) for bed in HEADER.frames)
    found = _found(replace(LATE, frames=frames, vendor_start=start, vendor_tag="Siemens (0071,1022)"))
    assert found.moment == NOON
    assert bool(found.notes) == bool(days)


def test_frames_decide_between_series_time_and_vendor() -> None:
    off = NOON - timedelta(minutes=30)
    wrong_vendor = _found(replace(HEADER, vendor_start=off, vendor_tag="GE (0009,100D)"))
    assert (wrong_vendor.moment, wrong_vendor.source) == (NOON, "SeriesTime (0008,0031)")
    assert "1800 s off" in wrong_vendor.notes[0]
    wrong_series = _found(replace(HEADER, series_start=off, vendor_start=NOON, vendor_tag="GE (0009,100D)"))
    assert (wrong_series.moment, wrong_series.source) == (NOON, "GE (0009,100D)")
    silent = tuple(FrameTiming(bed.acquired) for bed in HEADER.frames)
    by_first = _found(replace(HEADER, series_start=off, vendor_start=NOON, vendor_tag="GE (0009,100D)", frames=silent))
    assert (by_first.moment, by_first.source) == (NOON, "GE (0009,100D)")
    early = NOON - timedelta(minutes=5)
    with pytest.raises(InputError, match=r"SeriesTime .* and GE \(0009,100D\) disagree .* by 1500 s"):
        decay_reference(
            replace(HEADER, series_start=off, vendor_start=early, vendor_tag="GE (0009,100D)", frames=silent),
            where="series",
        )


def test_vendor_moment_after_the_first_acquisition_is_not_it() -> None:
    later = NOON + timedelta(minutes=20)
    assert _found(replace(LATE, vendor_start=later, vendor_tag="GE (0009,100D)")).source.endswith("(0054,1300)")


def test_series_time_against_its_frames_is_told() -> None:
    found = _found(replace(HEADER, series_start=NOON - timedelta(minutes=10)))
    assert found.moment == NOON - timedelta(minutes=10)
    assert "put the reference of decay 600 s after SeriesTime" in found.notes[0]


def test_one_slice_before_the_series_time_is_refused() -> None:
    beds = (replace(HEADER.frames[0], acquired=NOON - timedelta(hours=1)), *HEADER.frames[1:])
    with pytest.raises(InputError, match="one slice whose AcquisitionTime"):
        decay_reference(replace(HEADER, frames=beds), where="series")


def test_standard_tag_of_an_enhanced_pet_outranks_all() -> None:
    injection = NOON - timedelta(hours=1)
    header = replace(HEADER, decay_corrected_to=injection)
    factor = suv_factor(header, where="series")
    assert factor.factor == pytest.approx(80_000 / 300e6, rel=1e-12)
    assert (factor.decay_s, factor.uptake_min) == (0, 60)


def test_pixels_without_decay_correction_are_corrected_to_the_injection() -> None:
    """A decaying source of constant amount has the same SUV in every bed."""
    header = replace(HEADER, corrections=frozenset({"ATTN"}), decay_correction="NONE")
    found = suv_factor(header, where="series")
    assert len(found.frame_factors) == 6
    for bed, factor in enumerate(found.frame_factors):
        start_s = 3600 + 130 * bed
        mean = (np.exp(-DECAY * start_s) - np.exp(-DECAY * (start_s + BED_S))) / (DECAY * BED_S)
        assert found.factor * factor * 300e6 / 80_000 * mean == pytest.approx(1.0, rel=1e-9)
    assert found.uptake_min == 60


def test_frames_without_decay_correction_must_agree_about_their_bed() -> None:
    frames = tuple(replace(bed, acquired=NOON) for bed in HEADER.frames)
    with pytest.raises(InputError, match="disagree between slices about the reference of decay by 650 s"):
        mean_rate_moments(replace(HEADER, frames=frames), F18_S, where="series")


@pytest.mark.parametrize("days", [-1, 1, 300])
def test_injection_on_a_wrong_day_counts_by_its_time(days: int) -> None:
    injected = NOON - timedelta(hours=1) + timedelta(days=days)
    found = uptake(replace(HEADER, injected=injected), NOON, where="series")
    assert found is not None
    assert found.minutes == 60
    assert f"{days:+d} days off" in found.notes[0]


def test_injection_before_midnight_with_the_date_of_the_scan_was_yesterday() -> None:
    scan = datetime(2024, 2, 1, 0, 30)
    found = uptake(replace(HEADER, injected=datetime(2024, 2, 1, 23, 40), injected_time=None), scan, where="series")
    assert found is not None
    assert found.minutes == 50


def test_decay_factor_and_first_acquisition_outvote_a_tag() -> None:
    half_life = HEADER.half_life_s
    assert half_life is not None
    beds = tuple(NOON + timedelta(minutes=20 * bed) for bed in range(2))
    frames = tuple(
        FrameTiming(bed, None, 60.0, 2 ** (((bed - NOON).total_seconds() + 30.0) / half_life)) for bed in beds
    )
    for wrong in ({"series_start": NOON - timedelta(minutes=40)}, {"vendor_start": NOON - timedelta(minutes=40)}):
        header = replace(HEADER, series_start=None, vendor_start=None, vendor_tag="GE (0009,100D)", frames=frames)
        found = _found(replace(header, **wrong))
        assert abs((found.moment - NOON).total_seconds()) < 1.0
        assert "2400 s off" in found.notes[-1]
