"""Series as the scanners of each maker write them, from the files to SUVbw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_series import drop_all, save, set_all, set_dose, siemens_slices
from pydicom import Dataset

from fedpsma.errors import InputError
from fedpsma.io.dicom.convert import DicomOptions, convert_study
from fedpsma.io.dicom.find import find_studies
from fedpsma.io.importing.source import ImportedStudy

OPTIONS = DicomOptions(key=bytes(range(32)), dates="keep")
UNDECAYED = 80_000 / 300e6
HALF_LIFE_S = 6586.2
HOUR = 2 ** (3600 / HALF_LIFE_S)


def _convert(folder: Path, slices: list[Dataset]) -> ImportedStudy:
    return convert_study(find_studies(save(folder, slices)).studies[0], OPTIONS)


def _stored(slices: list[Dataset]) -> np.ndarray:
    """Rescaled values in the working orientation (x to the right, y to anterior), slices by rising place."""
    one = [float(s.RescaleSlope) * np.frombuffer(s.PixelData, "<i2").reshape(s.Rows, s.Columns) for s in slices]
    return np.stack(one).transpose(2, 1, 0)[::-1, ::-1]


def _factor(folder: Path, slices: list[Dataset]) -> float:
    """The one factor between stored values and SUV."""
    ratio = _convert(folder, slices).study.pet / _stored(slices)
    assert ratio.min() == pytest.approx(ratio.max(), rel=1e-5)
    return float(ratio.mean())


def _private(slices: list[Dataset], group: int, creator: str, offset: int, vr: str, value: object) -> None:
    for one in slices:
        one.private_block(group, creator, create=True).add_new(offset, vr, value)


def test_siemens_series_with_the_time_of_its_start(tmp_path: Path) -> None:
    assert _factor(tmp_path, siemens_slices()) == pytest.approx(UNDECAYED * HOUR, rel=1e-5)


@pytest.mark.parametrize("silent", ["DecayFactor", "FrameReferenceTime"])
def test_siemens_series_reprocessed_later(tmp_path: Path, silent: str) -> None:
    slices = siemens_slices()
    set_all("SeriesTime", "143000")(slices)
    drop_all(silent)(slices)
    assert _factor(tmp_path, slices) == pytest.approx(UNDECAYED * HOUR, rel=2e-5)


def test_siemens_private_tag_with_the_date_of_yesterday(tmp_path: Path) -> None:
    slices = siemens_slices()
    set_all("SeriesTime", "143000")(slices)
    for keyword in ("DecayFactor", "FrameReferenceTime"):
        drop_all(keyword)(slices)
    _private(slices, 0x0071, "SIEMENS MED PT", 0x22, "DT", "20240130110000.000000")
    imported = _convert(tmp_path, slices)
    assert imported.provenance.suv.factor == pytest.approx(UNDECAYED * HOUR, rel=1e-9)
    assert imported.provenance.suv.decay_reference == "Siemens (0071,1022)"
    assert any("days off" in note for note in imported.study.notes)


def test_ge_series_whose_beds_all_bear_the_time_of_the_scan(tmp_path: Path) -> None:
    slices = siemens_slices()
    set_all("Manufacturer", "GE MEDICAL SYSTEMS")(slices)
    set_all("AcquisitionTime", "110000")(slices)
    assert _factor(tmp_path / "a", slices) == pytest.approx(UNDECAYED * HOUR, rel=1e-6)
    set_all("SeriesTime", "143000")(slices)
    with pytest.raises(InputError, match="disagree between slices about the reference of decay"):
        _convert(tmp_path / "b", slices)
    _private(slices, 0x0009, "GEMS_PETD_01", 0x0D, "DT", "20240131110000.00")
    assert _factor(tmp_path / "c", slices) == pytest.approx(UNDECAYED * HOUR, rel=1e-6)


def test_philips_counts_with_the_factor_to_becquerel_alone(tmp_path: Path) -> None:
    slices = siemens_slices()
    set_all("Units", "CNTS")(slices)
    with pytest.raises(InputError, match=r"neither Philips \(7053,1000\) nor \(7053,1009\)"):
        _convert(tmp_path / "a", slices)
    _private(slices, 0x7053, "Philips PET Private Group", 0x09, "DS", "1.6")
    assert _factor(tmp_path / "b", slices) == pytest.approx(1.6 * UNDECAYED * HOUR, rel=1e-5)
    _private(slices, 0x7053, "Philips PET Private Group", 0x00, "DS", "0.0007")
    assert _factor(tmp_path / "c", slices) == pytest.approx(0.0007, rel=1e-5)


def test_factor_of_philips_must_be_the_same_in_all_slices(tmp_path: Path) -> None:
    slices = siemens_slices()
    set_all("Units", "CNTS")(slices)
    _private(slices, 0x7053, "Philips PET Private Group", 0x00, "DS", "0.0007")
    _private(slices[2:3], 0x7053, "Philips PET Private Group", 0x00, "DS", "0.0009")
    with pytest.raises(InputError, match=r"different Philips \(7053,1000\) \(0.0007, 0.0009\)"):
        _convert(tmp_path, slices)


def test_dose_corrected_to_the_injection_is_not_decayed_again(tmp_path: Path) -> None:
    slices = siemens_slices()
    set_all("DecayCorrection", "ADMIN")(slices)
    imported = _convert(tmp_path, slices)
    assert imported.provenance.suv.factor == pytest.approx(UNDECAYED, rel=1e-12)
    assert imported.provenance.suv.decay_s is None
    assert imported.study.technique.uptake_min == 60


def test_series_without_decay_correction_is_corrected_slice_by_slice(tmp_path: Path) -> None:
    slices = siemens_slices()
    set_all("DecayCorrection", "NONE")(slices)
    set_all("CorrectedImage", ["ATTN", "SCAT"])(slices)
    drop_all("DecayFactor")(slices)
    imported = _convert(tmp_path, slices)
    ratio = (imported.study.pet / _stored(slices)).mean(axis=(0, 1))
    seconds = 3600 + 59.937 + np.array([0, 0, 0, 130, 130, 130])
    assert ratio == pytest.approx(UNDECAYED * 2 ** (seconds / HALF_LIFE_S), rel=1e-5)
    low, high = imported.provenance.suv.frame_factor or (0, 0)
    assert (low, high) == pytest.approx((2 ** (seconds[0] / HALF_LIFE_S), 2 ** (seconds[-1] / HALF_LIFE_S)), rel=1e-6)


@pytest.mark.parametrize("order", [["DECY", "ATTN"], ["RAN", "ATTN", "DTIM", "NORM", "SCAT", "DECY"]])
def test_corrections_in_any_order(tmp_path: Path, order: list[str]) -> None:
    slices = siemens_slices()
    set_all("CorrectedImage", order)(slices)
    assert _factor(tmp_path, slices) == pytest.approx(UNDECAYED * HOUR, rel=1e-5)


def test_injection_in_universal_time(tmp_path: Path) -> None:
    slices = siemens_slices()
    set_dose("RadiopharmaceuticalStartDateTime", "20240131090000.00+0000")(slices)
    with pytest.raises(InputError, match="are 60 min apart"):
        _convert(tmp_path / "a", slices)
    set_all("TimezoneOffsetFromUTC", "+0100")(slices)
    assert _factor(tmp_path / "b", slices) == pytest.approx(UNDECAYED * HOUR, rel=1e-5)


def test_injection_before_midnight_by_its_time_alone(tmp_path: Path) -> None:
    slices = siemens_slices()
    for one in slices:
        one.SeriesTime = "002000"
        one.AcquisitionTime = f"00{int(one.AcquisitionTime[2:4]) + 20:02d}{one.AcquisitionTime[4:]}"
    set_dose("RadiopharmaceuticalStartTime", "232000")(slices)
    assert _factor(tmp_path, slices) == pytest.approx(UNDECAYED * HOUR, rel=1e-5)


def test_missing_series_time_is_found_from_the_frames(tmp_path: Path) -> None:
    slices = siemens_slices()
    drop_all("SeriesTime")(slices)
    imported = _convert(tmp_path, slices)
    assert imported.provenance.suv.factor == pytest.approx(UNDECAYED * HOUR, rel=2e-5)
    assert imported.study.date is None


def test_intercept_is_applied_and_told(tmp_path: Path) -> None:
    slices = siemens_slices()
    set_all("RescaleIntercept", "200")(slices)
    imported = _convert(tmp_path, slices)
    assert imported.study.pet == pytest.approx((_stored(slices) + 200) * UNDECAYED * HOUR, rel=1e-5)
    assert any("intercept" in note for note in imported.study.notes)


@pytest.mark.parametrize("kind", ["LBM", "BSA", "IBW", "LBMJANMA"])
def test_suv_of_another_kind_is_refused(tmp_path: Path, kind: str) -> None:
    slices = siemens_slices()
    set_all("Units", "GML")(slices)
    set_all("SUVType", kind)(slices)
    with pytest.raises(InputError, match=rf"holds SUV by {kind}, not by body weight: SUVType \(0054,1006\)"):
        _convert(tmp_path, slices)


def test_scanner_suv_is_kept_and_needs_neither_weight_nor_dose(tmp_path: Path) -> None:
    slices = siemens_slices()
    set_all("Units", "GML")(slices)
    set_all("RescaleSlope", "0.001")(slices)
    drop_all("PatientWeight")(slices)
    drop_all("RadiopharmaceuticalInformationSequence")(slices)
    assert _factor(tmp_path, slices) == pytest.approx(1.0, rel=1e-6)


def test_record_holds_every_factor(tmp_path: Path) -> None:
    slices = siemens_slices()
    for index, one in enumerate(slices):
        one.RescaleSlope = str(1.5 + index / 10)
    imported = _convert(tmp_path, slices)
    record, suv = imported.provenance, imported.provenance.suv
    assert (record.source, record.manufacturer, record.scanner) == ("DICOM", "SIEMENS", "Biograph64")
    assert (record.pet.spacing_mm, record.pet.shape, record.pet.orientation) == ((4, 4, 3), (8, 6, 6), "LPS")
    assert (suv.units, suv.decay_correction, suv.decay_reference) == ("BQML", "START", "SeriesTime (0008,0031)")
    assert (suv.weight_kg, suv.dose_bq, suv.half_life_s, suv.decay_s) == (80, 300e6, HALF_LIFE_S, 3600)
    assert (suv.rescale_slope, suv.frame_factor) == ((1.5, 2.0), (1.0, 1.0))
    by_hand = (suv.weight_kg or 0) * 1000 / ((suv.dose_bq or 1) * 2 ** (-(suv.decay_s or 0) / HALF_LIFE_S))
    assert suv.factor == pytest.approx(by_hand, rel=1e-12)
    assert (record.tracer.tracer, record.tracer.decided_by, record.tracer.evidence) == (
        "18F-FDG",
        "radiopharmaceutical",
        "FLUORODEOXYGLUCOSE",
    )
    assert record.tracer.radionuclide == "F-18"
    assert not any(secret in record.model_dump_json() for secret in ("Muster", "4711", "20240131", "110000"))


@pytest.mark.parametrize("dates", ["keep", "shift", "drop"])
def test_dates_of_a_patient_keep_their_interval(tmp_path: Path, dates: str) -> None:
    first, second = siemens_slices(), siemens_slices()
    set_all("SeriesDate", "20240301")(second)
    set_all("AcquisitionDate", "20240301")(second)
    options = DicomOptions(key=bytes(32), dates=dates)  # type: ignore[arg-type]
    days = []
    for name, slices in (("a", first), ("b", second)):
        imported = convert_study(find_studies(save(tmp_path / name, slices)).studies[0], options)
        assert imported.provenance.date_shifted == (dates == "shift")
        days.append(None if imported.study.date is None else np.datetime64(imported.study.date))
    if dates == "drop":
        assert days == [None, None]
        return
    assert (days[1] - days[0]).astype(int) == 30
    assert (days[0] == np.datetime64("2024-01-31")) == (dates == "keep")
    other = convert_study(find_studies(tmp_path / "a").studies[0], DicomOptions(key=bytes(range(32)), dates="shift"))
    assert np.datetime64(other.study.date) != days[0]
