"""BIDS-PET: SUV by values computed by hand, metadata by inheritance, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.importing.bids import find_bids_studies
from fedpsma.io.importing.source import ImportedStudy
from fedpsma.io.nifti import write_volume

AFFINE = np.diag([4.0, 4.0, 3.0, 1.0])
BQML = np.random.default_rng(0).uniform(0, 20_000, (5, 6, 7)).astype(np.float32)
# One hour from injection to the scan, to whose start decay was corrected.
FIELDS: dict[str, Any] = {
    "Manufacturer": "Siemens",
    "ManufacturersModelName": "Biograph mCT Flow 20",
    "Units": "Bq/mL",
    "TracerName": "PSMA-1007",
    "TracerRadionuclide": "F18",
    "InjectedRadioactivity": 200,
    "InjectedRadioactivityUnits": "MBq",
    "TimeZero": "10:00:00",
    "ScanStart": 0,
    "InjectionStart": -3600,
    "FrameTimesStart": [0],
    "FrameDuration": [1200],
    "AttenuationCorrection": "CT-based",
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0,
}
# 80 000 g / 200 000 000 Bq, and times 2^(3600 s / 6586.2 s) where the dose has to be decayed by that hour.
UNDECAYED, DECAYED = 4.0e-4, 5.842545e-4


def _write(root: Path, fields: dict[str, Any] | None = None, *, weight: str = "80", ses: str = "") -> Path:
    folder = root / "sub-01" / ses / "pet"
    name = f"sub-01_{ses}_pet" if ses else "sub-01_pet"
    write_volume(folder / f"{name}.nii.gz", BQML, AFFINE)
    (folder / f"{name}.json").write_text(json.dumps(FIELDS if fields is None else fields))
    (root / "participants.tsv").write_text(f"participant_id\theight\tweight\tage\nsub-01\t1.80\t{weight}\t70\n")
    return folder


def _without(*names: str, **changed: Any) -> dict[str, Any]:
    return {key: value for key, value in (FIELDS | changed).items() if key not in names}


def _read(root: Path, tracer: Tracer | None = None) -> ImportedStudy:
    (source,) = find_bids_studies(root, tracer=tracer)
    return source.read()


def test_activity_becomes_suv_as_computed_by_hand(tmp_path: Path) -> None:
    _write(tmp_path)
    done = _read(tmp_path)
    assert done.study.pet == pytest.approx(BQML * DECAYED, rel=1e-5)
    assert (done.study.study_id, done.study.patient_id, done.study.tracer) == ("sub-01", "sub-01", Tracer.PSMA_1007)
    technique = done.study.technique
    assert (technique.activity_mbq, technique.uptake_min, technique.weight_kg) == (200, 60, 80)
    suv = done.provenance.suv
    assert suv.factor == pytest.approx(DECAYED, rel=1e-5)
    assert (suv.units, suv.decay_s, suv.dose_bq, suv.half_life_s) == ("Bq/mL", 3600, 2e8, 6586.2)
    assert (done.provenance.source, done.provenance.scanner) == ("BIDS", "Biograph mCT Flow 20")
    assert done.provenance.tracer.decided_by == "radiopharmaceutical"


@pytest.mark.parametrize(
    ("changed", "factor"),
    [
        ({"ImageDecayCorrectionTime": -3600}, UNDECAYED),
        ({"InjectionStart": 0, "ImageDecayCorrectionTime": 0, "ScanStart": 3600}, UNDECAYED),
        ({"InjectionStart": 0, "ImageDecayCorrectionTime": 3600, "FrameTimesStart": [3600]}, DECAYED),
        ({"InjectedRadioactivity": 0.2, "InjectedRadioactivityUnits": "GBq"}, DECAYED),
        ({"InjectedRadioactivity": 2e5, "InjectedRadioactivityUnits": "kBq"}, DECAYED),
        ({"InjectedRadioactivity": 2e8, "InjectedRadioactivityUnits": "Bq"}, DECAYED),
        ({"InjectedRadioactivity": "200"}, DECAYED),
        ({"Units": "Bq/ml"}, DECAYED),
        # 80 000 g / (5 mCi x 37 000 000 Bq/mCi)
        ({"InjectedRadioactivity": 5, "InjectedRadioactivityUnits": "mCi"}, 4.324324e-4 * DECAYED / UNDECAYED),
        # 2^(3600 s / 4062.6 s) = 1.848214
        ({"TracerRadionuclide": "Ga68", "TracerName": "PSMA-11"}, UNDECAYED * 1.848214),
    ],
)
def test_moments_and_units_are_brought_together(tmp_path: Path, changed: dict[str, Any], factor: float) -> None:
    _write(tmp_path, _without(**changed))
    done = _read(tmp_path)
    assert done.provenance.suv.factor == pytest.approx(factor, rel=1e-5)
    assert done.study.technique.uptake_min == 60


def test_kilobecquerel_are_a_thousand(tmp_path: Path) -> None:
    folder = _write(tmp_path, _without(Units="kBq/mL"))
    write_volume(folder / "sub-01_pet.nii.gz", BQML / 1000, AFFINE)
    assert _read(tmp_path).study.pet == pytest.approx(BQML * DECAYED, rel=1e-5)


@pytest.mark.parametrize("unit", ["g/mL", "SUV", "SUVbw"])
def test_suv_stays_as_it_is_and_needs_no_dose(tmp_path: Path, unit: str) -> None:
    folder = _write(tmp_path, {"Units": unit}, weight="n/a")
    write_volume(folder / "sub-01_pet.nii.gz", BQML / 1000, AFFINE)
    done = _read(tmp_path)
    assert np.array_equal(done.study.pet, BQML / 1000)
    assert (done.provenance.suv.method, done.study.tracer) == (f"SUVbw by Units {unit}", None)


@pytest.mark.parametrize(
    "field",
    [
        "Units",
        "TracerRadionuclide",
        "InjectedRadioactivity",
        "InjectedRadioactivityUnits",
        "InjectionStart",
        "AttenuationCorrection",
        "ImageDecayCorrected",
        "ImageDecayCorrectionTime",
    ],
)
def test_missing_field_is_named_with_its_file(tmp_path: Path, field: str) -> None:
    _write(tmp_path, _without(field))
    with pytest.raises(InputError, match=rf"sub-01_pet\.nii\.gz: its _pet\.json: has no {field};"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"Units": "counts"}, "Units is 'counts'"),
        ({"ImageDecayCorrected": False}, "ImageDecayCorrected is false"),
        ({"AttenuationCorrection": "none"}, "is not corrected for attenuation"),
        ({"TracerRadionuclide": "O15"}, "TracerRadionuclide is 'O15'"),
        ({"InjectedRadioactivityUnits": "mBq"}, "InjectedRadioactivityUnits is 'mBq'"),
        ({"InjectedRadioactivity": 200e6}, r"InjectedRadioactivity is 2e\+08 MBq"),
        ({"InjectedRadioactivity": -200}, "InjectedRadioactivity is -200 MBq"),
        ({"InjectedRadioactivity": "n/a"}, "InjectedRadioactivity: "),
        ({"InjectionStart": 3600}, "ImageDecayCorrectionTime is -60 min after InjectionStart"),
        ({"InjectionStart": -60 * 3600}, "ImageDecayCorrectionTime is 3600 min after InjectionStart"),
        ({"InjectionStart": float("nan")}, "InjectionStart: "),
        ({"FrameTimesStart": [0, 300], "FrameDuration": [300, 300]}, "has 2 frames; give a static PET"),
    ],
)
def test_wrong_field_is_named(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    _write(tmp_path, _without(**changed))
    with pytest.raises(InputError, match=named):
        _read(tmp_path)


def test_dynamic_volume_is_refused_even_if_its_fields_do_not_tell(tmp_path: Path) -> None:
    folder = _write(tmp_path)
    nib.save(nib.Nifti1Image(np.stack([BQML, BQML], axis=3), AFFINE), folder / "sub-01_pet.nii.gz")
    with pytest.raises(InputError, match="5x6x7x2 instead of x, y, z"):
        _read(tmp_path)


def test_published_dynamic_example_is_refused(tmp_path: Path) -> None:
    """The fields of the dynamic brain PET among the published BIDS examples (pet001, C11, 45 frames)."""
    frames = list(range(45))
    example = {
        "Units": "Bq/ml",
        "TracerName": "CIMBI-36",
        "TracerRadionuclide": "C11",
        "InjectedRadioactivity": 573,
        "InjectedRadioactivityUnits": "MBq",
        "ScanStart": 0,
        "InjectionStart": 0,
        "FrameTimesStart": frames,
        "FrameDuration": frames,
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": 0,
        "AttenuationCorrection": "[137Cs]transmission scan-based",
    }
    _write(tmp_path, example)
    with pytest.raises(InputError, match="has 45 frames"):
        _read(tmp_path)


def test_frame_axis_of_length_one_is_a_volume(tmp_path: Path) -> None:
    folder = _write(tmp_path)
    nib.save(nib.Nifti1Image(BQML[..., None], AFFINE), folder / "sub-01_pet.nii.gz")
    assert _read(tmp_path).study.pet.shape == BQML.shape


def test_metadata_are_inherited_and_the_nearer_file_decides(tmp_path: Path) -> None:
    folder = _write(tmp_path, {"InjectedRadioactivity": 100})
    (tmp_path / "pet.json").write_text(json.dumps(FIELDS))
    (tmp_path / "sub-01/sub-01_pet.json").write_text(json.dumps({"InjectedRadioactivity": 400, "InjectionStart": 0}))
    (tmp_path / "sub-02_pet.json").write_text(json.dumps({"InjectedRadioactivity": 1}))
    (folder / "sub-01_trc-FDG_pet.json").write_text(json.dumps({"InjectedRadioactivity": 1}))
    suv = _read(tmp_path).provenance.suv
    assert (suv.dose_bq, suv.decay_s) == (1e8, 0)


def test_weight_of_the_session_outranks_that_of_the_participant(tmp_path: Path) -> None:
    _write(tmp_path, ses="ses-02")
    (tmp_path / "sub-01/sub-01_sessions.tsv").write_text("session_id\tbody_weight\nses-01\t60\nses-02\t40\n")
    assert _read(tmp_path).provenance.suv.factor == pytest.approx(DECAYED / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("weight", "named"),
    [("n/a", "has no body weight"), ("80000", "body weight of 80000 kg"), ("heavy", "'heavy' is no")],
)
def test_unusable_weight_is_refused(tmp_path: Path, weight: str, named: str) -> None:
    _write(tmp_path, weight=weight)
    with pytest.raises(InputError, match=named):
        _read(tmp_path)


def test_weight_in_pounds_is_refused_and_in_kilogram_read(tmp_path: Path) -> None:
    _write(tmp_path)
    described = tmp_path / "participants.json"
    described.write_text(json.dumps({"weight": {"Units": "kg"}, "height": {"Units": "cm"}}))
    _read(tmp_path)
    described.write_text(json.dumps({"weight": {"Units": "lb"}}))
    with pytest.raises(InputError, match=r"participants\.json: weight: is in 'lb', not in kg"):
        _read(tmp_path)


def test_ct_lesions_and_date_of_the_same_session_belong_to_the_pet(tmp_path: Path) -> None:
    for ses in ("ses-01", "ses-02"):
        _write(tmp_path, ses=ses)
    mask = np.zeros(BQML.shape, np.uint8)
    mask[1, 1, 1] = mask[4, 4, 4] = 1
    write_volume(tmp_path / "sub-01/ses-02/ct/sub-01_ses-02_ct.nii.gz", np.full(BQML.shape, 40, np.int16), AFFINE)
    derived = tmp_path / "derivatives/reader/sub-01/ses-02/pet"
    write_volume(derived / "sub-01_ses-02_label-lesion_mask.nii.gz", mask, AFFINE)
    write_volume(derived / "sub-01_ses-02_label-liver_mask.nii.gz", mask, AFFINE)
    (tmp_path / "sub-01/ses-02/sub-01_ses-02_scans.tsv").write_text(
        "filename\tacq_time\npet/sub-01_ses-02_pet.nii.gz\t2021-05-04T10:00:00\n"
    )
    first, second = (source.read() for source in find_bids_studies(tmp_path, tracer=None))
    assert (first.study.ct, first.study.lesions, first.study.date) == (None, None, None)
    assert second.study.ct is not None
    assert second.study.lesions is not None
    assert (second.study.lesions.max(), second.study.date) == (2, "2021-05-04")
    assert first.study.patient_id == second.study.patient_id == "sub-01"


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("sub-01_desc-lesions_dseg", True),
        ("sub-01_label-Tumor_mask", True),
        ("sub-01_trc-PSMA_label-lesion_mask", True),
        ("sub-01_run-2_label-lesion_mask", False),
        ("sub-01_label-lesion_probseg", False),
        ("sub-01_mask", False),
        ("sub-01_ses-9_label-lesion_mask", False),
        ("sub-011_label-lesion_mask", False),
    ],
)
def test_mask_has_to_be_of_lesions_of_this_scan(tmp_path: Path, name: str, read: bool) -> None:
    folder = _write(tmp_path)
    (folder / "sub-01_pet.nii.gz").rename(folder / "sub-01_run-1_pet.nii.gz")
    (folder / "sub-01_pet.json").rename(folder / "sub-01_run-1_pet.json")
    write_volume(tmp_path / f"derivatives/x/{name}.nii.gz", np.ones(BQML.shape, np.uint8), AFFINE)
    assert (_read(tmp_path).study.lesions is not None) is read


def test_two_lesion_masks_of_one_scan_are_refused(tmp_path: Path) -> None:
    _write(tmp_path)
    for reader in ("a", "b"):
        path = tmp_path / f"derivatives/{reader}/sub-01_label-lesion_mask.nii.gz"
        write_volume(path, np.ones(BQML.shape, np.uint8), AFFINE)
    with pytest.raises(InputError, match="has 2 lesion masks"):
        _read(tmp_path)


def test_caller_outranks_the_name_of_the_tracer(tmp_path: Path) -> None:
    _write(tmp_path)
    done = _read(tmp_path, Tracer.DCFPYL)
    assert (done.study.tracer, done.provenance.tracer.decided_by) == (Tracer.DCFPYL, "caller")


def test_unknown_tracer_stays_unknown(tmp_path: Path) -> None:
    _write(tmp_path, _without(TracerName="CIMBI-36"))
    done = _read(tmp_path)
    assert done.study.tracer is None
    assert any("name the tracer with --tracer" in note for note in done.study.notes)


def test_pet_of_another_subject_in_the_folder_is_refused(tmp_path: Path) -> None:
    folder = _write(tmp_path)
    (folder / "sub-01_pet.nii.gz").rename(folder / "sub-02_pet.nii.gz")
    with pytest.raises(InputError, match="lies in sub-01 and is not named so"):
        _read(tmp_path)


@pytest.mark.parametrize("content", ["[1]", "{", "{}x"])
def test_broken_metadata_are_refused(tmp_path: Path, content: str) -> None:
    folder = _write(tmp_path)
    (folder / "sub-01_pet.json").write_text(content)
    with pytest.raises(InputError, match=r"is no JSON object|is not JSON"):
        _read(tmp_path)


def test_folder_without_pet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no sub-"):
        find_bids_studies(tmp_path, tracer=None)
