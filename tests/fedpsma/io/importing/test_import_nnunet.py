"""The layout of nnU-Net and autoPET: channels, labels, patients and tracers by what the folder says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.importing.nnunet import NnunetOptions, find_nnunet_studies
from fedpsma.io.importing.source import ImportedStudy
from fedpsma.io.nifti import write_volume

AFFINE = np.diag([4.0, 4.0, 3.0, 1.0])
SUV = np.random.default_rng(0).uniform(0, 12, (5, 6, 7)).astype(np.float32)
CT = np.random.default_rng(1).integers(-1000, 1500, (5, 6, 7)).astype(np.int16)
PSMA = "psma_95b833d46f153cd2_2018-04-16"
FDG = "fdg_01140d52d8_08-13-2005-NA-PET-CT Ganzkoerper  primaer mit KM-56839"
# As published with the autoPET III data: both channels are called CT there.
PUBLISHED = {"channel_names": {"0": "CT", "1": "CT"}, "labels": {"background": 0, "tumor": 1}, "file_ending": ".nii.gz"}
DECLARED = NnunetOptions(suv_declared=True)


def _mask(*labels: int) -> np.ndarray:
    mask = np.zeros(SUV.shape, np.uint8)
    for number, label in enumerate(labels):
        mask[number % 5, number, number] = label
    return mask


def _case(folder: Path, name: str, *labels: int, ct: int = 0, pet: int = 1, ending: str = ".nii.gz") -> None:
    write_volume(folder / f"imagesTr/{name}_{ct:04d}{ending}", CT, AFFINE)
    write_volume(folder / f"imagesTr/{name}_{pet:04d}{ending}", SUV, AFFINE)
    write_volume(folder / f"labelsTr/{name}{ending}", _mask(*(labels or (1,))), AFFINE)


def _describe(folder: Path, **content: Any) -> None:
    (folder / "dataset.json").write_text(json.dumps(content))


def _read(folder: Path, options: NnunetOptions = NnunetOptions()) -> ImportedStudy:  # noqa: B008
    (source,) = find_nnunet_studies(folder, options)
    return source.read()


def test_autopet_names_tell_patient_date_and_family(tmp_path: Path) -> None:
    _case(tmp_path, PSMA)
    _case(tmp_path, FDG)
    _describe(tmp_path, **PUBLISHED)
    fdg, psma = find_nnunet_studies(tmp_path, NnunetOptions())
    assert (psma.study_id, psma.patient_id) == (PSMA, "psma_95b833d46f153cd2")
    assert fdg.study_id == "fdg_01140d52d8_08-13-2005-NA-PET-CT-Ganzkoerper-primaer-mit-KM-56839"
    assert fdg.patient_id == "fdg_01140d52d8"
    first, second = fdg.read(), psma.read()
    assert (first.study.date, second.study.date) == ("2005-08-13", "2018-04-16")
    assert (first.study.tracer, second.study.tracer) == (Tracer.FDG, None)
    assert np.array_equal(first.study.pet, SUV)
    assert np.array_equal(first.study.ct, CT.astype(np.float32))
    assert first.study.lesions is not None
    assert first.study.lesions.sum() == 1
    assert first.study.notes[:2] == (
        "SUVbw, as the autoPET collection declares its PET",
        "dataset.json calls both channels CT: channel 0 was read as CT and channel 1 as PET",
    )


def test_metadata_of_the_collection_tell_radionuclide_and_scanner(tmp_path: Path) -> None:
    for name in (PSMA, "psma_0179419e313f7d8c_2019-06-10"):
        _case(tmp_path, name)
    _describe(tmp_path, **PUBLISHED)
    (tmp_path / "psma_metadata.csv").write_text(
        "Subject ID,Study Date,age,manufacturer_model_name,pet_radionuclide,ct_contrast_agent\n"
        "PSMA_95b833d46f153cd2,2018-04-16,70,Biograph 64-4R TruePoint,68Ga,yes\n"
        "PSMA_0179419e313f7d8c,2019-06-10,71,Discovery 690,18F,yes\n"
    )
    unknown = [one.read() for one in find_nnunet_studies(tmp_path, NnunetOptions())]
    assert [one.study.tracer for one in unknown] == [None, None]
    assert [one.provenance.tracer.radionuclide for one in unknown] == ["F-18", "Ga-68"]
    assert [one.provenance.scanner for one in unknown] == ["Discovery 690", "Biograph 64-4R TruePoint"]
    told = NnunetOptions(tracers=(Tracer.PSMA_11, Tracer.PSMA_1007))
    named = [one.read().study.tracer for one in find_nnunet_studies(tmp_path, told)]
    assert named == [Tracer.PSMA_1007, Tracer.PSMA_11]
    fluorine, gallium = find_nnunet_studies(tmp_path, NnunetOptions(tracers=(Tracer.PSMA_11,)))
    assert gallium.read().study.tracer is Tracer.PSMA_11
    with pytest.raises(InputError, match="has F-18 and PSMA, which fits 0 of the tracers 68Ga-PSMA-11"):
        fluorine.read()


def test_metadata_without_their_columns_are_refused(tmp_path: Path) -> None:
    _case(tmp_path, PSMA)
    (tmp_path / "psma_metadata.csv").write_text("Subject ID,Study Date\nPSMA_95b833d46f153cd2,2018-04-16\n")
    with pytest.raises(InputError, match=r"psma_metadata\.csv: lacks the column pet_radionuclide"):
        find_nnunet_studies(tmp_path, NnunetOptions())


@pytest.mark.parametrize(
    "content",
    [
        {"channel_names": {"0": "SUV", "1": "CT"}},
        {"channel_names": {"0": "PET_SUV", "1": "CT resampled"}},
        {"modality": {"0": "PET", "1": "CT"}},
        {"channel_names": {"0": "pt", "1": "ct"}},
    ],
)
def test_order_of_channels_follows_the_description(tmp_path: Path, content: dict[str, Any]) -> None:
    _case(tmp_path, "a", ct=1, pet=0)
    _describe(tmp_path, **content)
    study = _read(tmp_path, NnunetOptions(patient="(.*)", suv_declared=True)).study
    assert np.array_equal(study.pet, SUV)
    assert np.array_equal(study.ct, CT.astype(np.float32))


@pytest.mark.parametrize(
    "names", [{"0": "a", "1": "b"}, {"0": "PET", "1": "SUV"}, {"0": "PET/CT", "1": "x"}, {"0": "CT"}]
)
def test_channels_that_do_not_tell_are_refused(tmp_path: Path, names: dict[str, str]) -> None:
    _case(tmp_path, PSMA)
    _describe(tmp_path, channel_names=names)
    with pytest.raises(InputError, match="does not tell which channel is the PET"):
        find_nnunet_studies(tmp_path, NnunetOptions())


def test_swapped_channels_are_refused_by_their_values(tmp_path: Path) -> None:
    _case(tmp_path, PSMA, ct=1, pet=0)
    _describe(tmp_path, **PUBLISHED)
    with pytest.raises(InputError, match="holds values down to -"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ({"background": 0, "tumor": 1, "liver": 2}, 2),
        ({"0": "background", "1": "Tumor lesion", "2": "liver"}, 2),
        ({"background": 0, "liver": 1, "lesion": 2, "ignore": 3}, 1),
        ({"background": 0, "lesion": [1, 2], "other": 3}, 3),
        ({"background": 0, "primary tumour": 1, "metastasis": 2}, 3),
    ],
)
def test_only_labels_called_lesion_are_read(tmp_path: Path, labels: dict[str, Any], kept: int) -> None:
    _case(tmp_path, PSMA, 1, 0, 1, 0, 2)
    _describe(tmp_path, channel_names={"0": "CT", "1": "SUV"}, labels=labels)
    done = _read(tmp_path)
    assert done.study.lesions is not None
    assert done.study.lesions.max() == kept
    assert done.provenance.contours is not None
    assert done.provenance.contours.objects == kept


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ({"background": 0, "foreground": 1}, "does not tell which is a lesion"),
        ({"background": 0, "lesion": 1, "all": [1, 2]}, "does not tell which is a lesion"),
        ({"background": 0, "lesion": "one"}, "something else than names and whole numbers"),
    ],
)
def test_unclear_labels_are_refused(tmp_path: Path, labels: dict[str, Any], named: str) -> None:
    _case(tmp_path, PSMA)
    _describe(tmp_path, channel_names={"0": "CT", "1": "SUV"}, labels=labels)
    with pytest.raises(InputError, match=named):
        find_nnunet_studies(tmp_path, NnunetOptions())


@pytest.mark.parametrize("described", [True, False])
def test_label_without_a_meaning_is_refused(tmp_path: Path, described: bool) -> None:
    _case(tmp_path, PSMA, 1, 2)
    if described:
        _describe(tmp_path, **PUBLISHED)
    with pytest.raises(InputError, match="holds the label 2, and nothing says what it is"):
        _read(tmp_path)


def test_unknown_patients_are_never_guessed(tmp_path: Path) -> None:
    for name in ("site_007_a", "site_007_b", "site_008_a"):
        _case(tmp_path, name)
    with pytest.raises(InputError, match=r"the patient of 'site_007_a' is unknown.*--patient REGEX"):
        find_nnunet_studies(tmp_path, DECLARED)
    grouped = find_nnunet_studies(tmp_path, NnunetOptions(suv_declared=True, patient=r"_(\d+)_"))
    assert [one.patient_id for one in grouped] == ["007", "007", "008"]
    single = find_nnunet_studies(tmp_path, NnunetOptions(suv_declared=True, patient="(.*)"))
    assert [one.patient_id for one in single] == ["site_007_a", "site_007_b", "site_008_a"]


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("[", "is no regular expression"),
        ("abc", "has 0 groups instead of one"),
        ("(a)(b)", "has 2 groups"),
        ("(x+)", "finds no patient in 'site_007_a'"),
        ("(x*)", "finds no patient in 'site_007_a'"),
    ],
)
def test_wrong_expression_for_patients_is_named(tmp_path: Path, pattern: str, named: str) -> None:
    _case(tmp_path, "site_007_a")
    with pytest.raises(InputError, match=named):
        find_nnunet_studies(tmp_path, NnunetOptions(suv_declared=True, patient=pattern))


def test_pet_of_unknown_unit_is_refused_unless_someone_says_suv(tmp_path: Path) -> None:
    _case(tmp_path, "a")
    options = NnunetOptions(patient="(.*)")
    with pytest.raises(InputError, match="does not say that its PET is in SUVbw; say --units suv"):
        find_nnunet_studies(tmp_path, options)
    _describe(tmp_path, channel_names={"0": "CT", "1": "SUV"})
    assert _read(tmp_path, options).provenance.suv.method == "SUVbw by the name of the channel in dataset.json"


def test_plain_nifti_without_a_description_is_read_by_convention(tmp_path: Path) -> None:
    _case(tmp_path, PSMA, ending=".nii")
    study = _read(tmp_path).study
    assert np.array_equal(study.pet, SUV)
    assert study.notes[1] == "no dataset.json: channel 0 was read as CT and channel 1 as PET"


@pytest.mark.parametrize("missing", ["imagesTr/{}_0000.nii.gz", "imagesTr/{}_0001.nii.gz", "labelsTr/{}.nii.gz"])
def test_file_missing_from_a_case_refuses_that_case(tmp_path: Path, missing: str) -> None:
    other = "psma_0179419e313f7d8c_2019-06-10"
    _case(tmp_path, PSMA)
    _case(tmp_path, other)
    (tmp_path / missing.format(PSMA)).unlink()
    whole, broken = find_nnunet_studies(tmp_path, NnunetOptions())
    assert whole.read().study.lesions is not None
    with pytest.raises(InputError, match="does not exist"):
        broken.read()


def test_folder_without_labels_gives_studies_without_lesions(tmp_path: Path) -> None:
    _case(tmp_path, PSMA)
    (tmp_path / f"labelsTr/{PSMA}.nii.gz").unlink()
    (tmp_path / "labelsTr").rmdir()
    assert _read(tmp_path).study.lesions is None


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"file_ending": ".mha"}, "file_ending: .mha is not read"),
        ({"file_ending": "/../x"}, "file_ending:"),
        ({"channel_names": {"one": "CT"}}, "channel_names"),
        ({"labels": ["lesion"]}, "labels"),
    ],
)
def test_wrong_description_is_named_with_its_field(tmp_path: Path, content: dict[str, Any], named: str) -> None:
    _case(tmp_path, PSMA)
    _describe(tmp_path, **content)
    with pytest.raises(InputError) as refused:
        find_nnunet_studies(tmp_path, NnunetOptions())
    assert named in str(refused.value)


def test_folders_of_the_fdg_collection_are_read(tmp_path: Path) -> None:
    place = tmp_path / "PETCT_0011f3deaf/03-23-2003-NA-PET-CT Ganzkoerper  primaer mit KM-10445"
    for name, data in (("SUV", SUV), ("CTres", CT), ("SEG", _mask(1, 0, 1))):
        write_volume(place / f"{name}.nii.gz", data, AFFINE)
    (source,) = find_nnunet_studies(tmp_path, NnunetOptions())
    assert source.patient_id == "PETCT_0011f3deaf"
    assert source.study_id == "PETCT_0011f3deaf_03-23-2003-NA-PET-CT-Ganzkoerper-primaer-mit-KM-10445"
    done = source.read()
    assert (done.study.tracer, done.study.date) == (Tracer.FDG, "2003-03-23")
    assert done.study.lesions is not None
    assert done.study.lesions.max() == 2


@pytest.mark.parametrize("names", [(), ("imagesTr",)])
def test_folder_with_nothing_to_read_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"has neither imagesTr|has no CASE_0000"):
        find_nnunet_studies(tmp_path, NnunetOptions())


@pytest.mark.shared
def test_names_of_real_cases_tell_patient_and_date(shared: Path) -> None:
    from fedpsma.io.importing.autopet import parse_case

    cases = [path.name.removesuffix(".nii.gz") for path in (shared / "data/autopet3_organ_labels/psma").iterdir()]
    read = [parse_case(case) for case in cases]
    assert len(cases) == 120
    assert all(one is not None and one.date is not None for one in read)
    assert [f"{one.patient}_{one.date}" for one in read if one] == cases
