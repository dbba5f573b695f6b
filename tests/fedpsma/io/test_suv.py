"""SUVbw factors: eight vendor cases with published factors, and the traps."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pet_headers import F18_S, NOON, PLAIN_HEADER

from fedpsma.errors import InputError
from fedpsma.io.decay import decay_reference
from fedpsma.io.pet_header import FrameTiming, PetHeader
from fedpsma.io.suv import check_suv_range, suv_factor

VENDOR_CASES = [
    "PHILIPS_BQML",
    "PHILIPS_CNTS_AND_BQML_SUV",
    "PHILIPS_CNTS_AND_SUV",
    "SIEMENS",
    "GE_MEDICAL_AND_BQML",
    "BQML_AC_DT_lessThan_S_DT_SIEMENS",
    "CPS_AND_BQML_AC_DT_-_S_DT",
    "RADIOPHARM_DATETIME_UNDEFINED",
]
HEADER = PLAIN_HEADER
UNDECAYED = 80_000 / 300e6


def _moment(date: str, clock: str) -> datetime:
    whole, _, fraction = clock.strip().partition(".")
    return datetime.strptime(date + whole, "%Y%m%d%H%M%S") + timedelta(microseconds=int(fraction.ljust(6, "0") or 0))


def _header(instances: list[dict[str, Any]]) -> PetHeader:
    first = instances[0]
    philips = first["PhilipsPETPrivateGroup"]
    start = first.get("RadiopharmaceuticalStartDateTime")
    return PetHeader(
        units=first["Units"],
        corrections=frozenset(first["CorrectedImage"]),
        decay_correction=first["DecayCorrection"],
        weight_kg=first["PatientWeight"],
        dose_bq=first["RadionuclideTotalDose"],
        half_life_s=first["RadionuclideHalfLife"],
        injected=_moment(start[:8], start[8:]) if start else None,
        injected_time=_moment("20201217", first["RadiopharmaceuticalStartTime"]).time(),
        series_start=_moment(first["SeriesDate"], first["SeriesTime"]),
        philips_suv=float(philips["SUVScaleFactor"]) if "SUVScaleFactor" in philips else None,
        philips_bqml=float(philips["ActivityConcentrationScaleFactor"])
        if "ActivityConcentrationScaleFactor" in philips
        else None,
        frames=tuple(
            FrameTiming(
                _moment(one["AcquisitionDate"], one["AcquisitionTime"]),
                one["FrameReferenceTime"] / 1000,
                one["ActualFrameDuration"] / 1000,
            )
            for one in instances
        ),
    )


@pytest.mark.shared
@pytest.mark.parametrize("case", VENDOR_CASES)
def test_vendor_case_gives_the_published_factor(shared: Path, case: str) -> None:
    folder = shared / "data/calculate_suv_fixtures"
    expected = json.loads((folder / "expected.json").read_text())
    header = _header(json.loads((folder / f"{case}-instances.json").read_text()))
    assert suv_factor(header, where=case).factor == pytest.approx(expected[case], rel=1e-6)


def test_dose_decays_from_injection_to_scan() -> None:
    result = suv_factor(HEADER, where="series")
    assert result.factor == pytest.approx(UNDECAYED * 2 ** (3600 / F18_S), rel=1e-12)
    assert result.uptake_min == 60


def test_dose_corrected_to_administration_is_not_decayed_again() -> None:
    result = suv_factor(replace(HEADER, decay_correction="ADMIN"), where="series")
    assert result.factor == pytest.approx(UNDECAYED, rel=1e-12)
    assert result.uptake_min == 60


def test_injection_before_midnight_was_yesterday() -> None:
    after = datetime(2024, 2, 1, 0, 30, 0)
    header = replace(HEADER, injected_time=time(23, 40), series_start=after, frames=(FrameTiming(acquired=after),))
    assert suv_factor(header, where="series").uptake_min == 50


def test_midnight_between_series_start_and_a_late_bed_changes_nothing() -> None:
    start = datetime(2024, 1, 31, 23, 50, 0)
    frames = tuple(FrameTiming(acquired=start + timedelta(minutes=5 * bed)) for bed in range(4))
    header = replace(HEADER, injected_time=time(22, 50), series_start=start, frames=frames)
    assert suv_factor(header, where="series").uptake_min == 60


def test_injection_with_its_date_outranks_the_time_alone() -> None:
    header = replace(HEADER, injected=NOON - timedelta(minutes=90), injected_time=None)
    assert suv_factor(header, where="series").uptake_min == 90


def test_series_written_later_uses_the_private_scan_start_of_ge() -> None:
    start = NOON - timedelta(minutes=1)
    header = replace(HEADER, series_start=NOON + timedelta(hours=2), vendor_start=start, vendor_tag="GE (0009,100D)")
    found = decay_reference(header, where="series")
    assert found is not None
    assert (found.moment, found.source) == (start, "GE (0009,100D)")


def test_beds_of_a_siemens_series_agree_about_the_start() -> None:
    """Each bed lasts 120 s; its reference time is where the mean rate lies, counted from the series start."""
    decay = np.log(2) / F18_S
    mean_rate_s = np.log(decay * 120 / (1 - np.exp(-decay * 120))) / decay
    beds = tuple(
        FrameTiming(NOON + timedelta(seconds=130 * bed), 130 * bed + mean_rate_s, 120.0) for bed in range(1, 7)
    )
    header = replace(HEADER, series_start=NOON + timedelta(hours=1), frames=beds)
    found = decay_reference(header, where="series")
    assert found is not None
    assert abs(found.moment - NOON) < timedelta(milliseconds=1)


def test_beds_that_disagree_are_refused() -> None:
    beds = (FrameTiming(NOON, 60.0, 120.0), FrameTiming(NOON + timedelta(minutes=10), 60.0, 120.0))
    with pytest.raises(InputError, match="disagree between slices about the reference of decay by 600 s"):
        suv_factor(replace(HEADER, series_start=NOON + timedelta(hours=1), frames=beds), where="series")


def test_philips_counts_take_the_suv_factor_without_decay() -> None:
    header = PetHeader(units="CNTS", corrections=HEADER.corrections, philips_suv=0.000728, philips_bqml=1.6)
    assert suv_factor(header, where="series").factor == 0.000728


def test_philips_counts_with_a_zero_suv_factor_become_activity() -> None:
    header = replace(HEADER, units="CNTS", philips_suv=0.0, philips_bqml=1.6)
    bqml = suv_factor(HEADER, where="series").factor
    assert suv_factor(header, where="series").factor == pytest.approx(1.6 * bqml, rel=1e-12)


def test_wrong_clock_costs_only_the_uptake_time_where_no_decay_is_needed() -> None:
    result = suv_factor(replace(HEADER, units="GML", injected_time=time(12, 30)), where="series")
    assert result.factor == 1.0
    assert result.uptake_min is None
    assert "uptake time unknown: the clocks say 1410 min" in result.notes


def test_short_uptake_is_told() -> None:
    result = suv_factor(replace(HEADER, injected_time=time(11, 58)), where="series")
    assert any("only 2.0 min" in note for note in result.notes)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"units": None}, "Units (0054,1001)"),
        ({"units": "PCNT"}, "Units (0054,1001) is 'PCNT'"),
        ({"units": "CNTS"}, "neither Philips (7053,1000) nor (7053,1009)"),
        ({"units": "GML", "suv_type": "LBM"}, "SUVType (0054,1006)"),
        ({"corrections": frozenset({"ATTN"})}, "CorrectedImage (0028,0051) lacks DECY"),
        ({"corrections": frozenset({"DECY"})}, "CorrectedImage (0028,0051) lacks ATTN"),
        ({"decay_correction": "NONE"}, "holds DECY, but DecayCorrection (0054,1102) is NONE"),
        ({"decay_correction": "NONE", "corrections": frozenset({"ATTN"})}, "ActualFrameDuration (0018,1242)"),
        ({"decay_correction": "LATER"}, "DecayCorrection (0054,1102) is 'LATER'"),
        ({"decay_correction": None}, "DecayCorrection (0054,1102)"),
        ({"weight_kg": None}, "PatientWeight (0010,1030)"),
        ({"weight_kg": 80_000.0}, "PatientWeight (0010,1030) is 80000, no weight in kg"),
        ({"weight_kg": float("nan")}, "PatientWeight (0010,1030)"),
        ({"dose_bq": 0.0}, "RadionuclideTotalDose (0018,1074)"),
        ({"dose_bq": 300.0}, "perhaps it is in MBq"),
        ({"half_life_s": None}, "RadionuclideHalfLife (0018,1075)"),
        ({"injected_time": None}, "RadiopharmaceuticalStartTime (0018,1072)"),
        ({"half_life_s": 109.77e9}, "no half-life of a PET radionuclide"),
        ({"dose_bq": 3e14}, "too large for becquerel"),
        ({"series_start": None, "frames": ()}, "AcquisitionTime (0008,0032), SeriesTime (0008,0031)"),
        ({"frames": ()}, "AcquisitionTime (0008,0032), SeriesTime (0008,0031)"),
        ({"injected": NOON + timedelta(days=3), "injected_time": None}, "was scanned -4320 min after"),
        ({"injected": NOON - timedelta(hours=7), "injected_time": None}, "was scanned 420 min after"),
        ({"injected": NOON - timedelta(minutes=90)}, "are 30 min apart"),
        ({"half_life_s": 45_721.0}, "does not tell the day of the injection"),
    ],
)
def test_missing_or_wrong_tag_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError) as refused:
        suv_factor(replace(HEADER, **change), where="series 7")
    assert named in str(refused.value)
    assert str(refused.value).startswith("series 7: ")


@given(
    weight=st.floats(30, 200), dose=st.floats(2e7, 9e8), uptake=st.integers(5, 280), half_life=st.floats(1200, 50_000)
)
def test_uniform_body_has_suv_one(weight: float, dose: float, uptake: int, half_life: float) -> None:
    """SUV is defined so that a dose spread evenly over a body of density 1 g/ml gives 1."""
    injected = NOON - timedelta(minutes=uptake)
    told = replace(HEADER, weight_kg=weight, dose_bq=dose, half_life_s=half_life)
    header = replace(told, injected=injected, injected_time=None)
    activity_bqml = dose * 0.5 ** (uptake * 60 / half_life) / (weight * 1000)
    assert suv_factor(header, where="series").factor * activity_bqml == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("hottest", [0.4, 1001.0, 25_000.0])
def test_volume_in_another_unit_is_refused(hottest: float) -> None:
    pet = np.full((4, 4, 4), hottest, np.float32)
    with pytest.raises(InputError, match="no SUVbw"):
        check_suv_range(pet, np.eye(4), where="pet.nii.gz")


def test_whole_body_with_a_wrong_mean_is_told() -> None:
    long = np.diag([4.0, 4.0, 100.0, 1.0])
    assert check_suv_range(np.full((4, 4, 8), 0.9, np.float32), long, where="") == ()
    assert "check weight, dose" in check_suv_range(np.full((4, 4, 8), 9.0, np.float32), long, where="")[0]
    assert check_suv_range(np.full((4, 4, 8), 9.0, np.float32), np.eye(4), where="") == ()
