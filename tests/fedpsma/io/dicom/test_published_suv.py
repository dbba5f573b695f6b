"""A real series against the SUV image that the IBSI published of it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from fedpsma.domain.tracer import Tracer
from fedpsma.io.dicom.convert import DicomOptions, convert_study
from fedpsma.io.dicom.find import DicomStudy, find_studies
from fedpsma.io.dicom.volume import read_pet
from fedpsma.io.importing.source import ImportedStudy
from fedpsma.io.nifti import read_volume

pytestmark = [pytest.mark.shared]


@pytest.fixture(scope="module")
def found(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> DicomStudy:
    """GE Discovery ST, 267 slices with 267 rescale slopes, gaps of 3.19, 3.27 and 3.29 mm."""
    folder = tmp_path_factory.mktemp("sts")
    with tarfile.open(next((shared / "data/sts_001_raw").glob("*.tar.xz"))) as archive:
        archive.extractall(folder, filter="data")
    found = find_studies(folder)
    assert found.damaged == ()
    return found.studies[0]


@pytest.fixture(scope="module")
def imported(found: DicomStudy) -> ImportedStudy:
    return convert_study(found, DicomOptions(key=bytes(32)))


@pytest.fixture(scope="module")
def crops(shared: Path, imported: ImportedStudy) -> tuple[np.ndarray, np.ndarray, slice]:
    """SUV as published, ours in the same voxels, and which slices of ours these are."""
    published = read_volume(shared / "data/ibsi_validation_sts/nifti/STS_001_pet_suv.nii.gz")
    start = np.linalg.inv(imported.study.affine) @ published.affine[:, 3]
    assert start == pytest.approx(np.round(start), abs=1e-3)
    box = tuple(slice(round(low), round(low) + n) for low, n in zip(start, published.data.shape, strict=False))
    return published.data, imported.study.pet[box], box[2]


def test_the_body_has_the_published_suv(crops: tuple[np.ndarray, np.ndarray, slice]) -> None:
    published, ours, _ = crops
    body = published > 0.1
    ratio = ours[body] / published[body]
    assert np.median(ratio) == pytest.approx(1.0, abs=1e-6)
    assert np.percentile(ratio, [1, 99]) == pytest.approx([1.0, 1.0], abs=1e-3)


def test_every_voxel_lies_within_one_stored_unit(
    found: DicomStudy, imported: ImportedStudy, crops: tuple[np.ndarray, np.ndarray, slice]
) -> None:
    """The published image had its stored values rounded once more, which shows at low SUV as a ratio off one."""
    published, ours, z = crops
    slopes = np.array(read_pet(found.pet[0], where="series").slopes)[z]
    unit = slopes * imported.provenance.suv.factor
    assert (np.abs(ours - published) <= 1.01 * unit + 1e-6 * published).all()
    exact = np.abs(ours - published) <= 0.01 * unit + 1e-6 * published
    assert exact.mean() > 0.4


def test_record_of_the_real_series(imported: ImportedStudy) -> None:
    record, suv = imported.provenance, imported.provenance.suv
    assert (record.manufacturer, record.scanner) == ("GE MEDICAL SYSTEMS", "Discovery ST")
    assert (record.pet.shape, record.pet.orientation) == ((128, 128, 267), "LPS")
    assert (suv.weight_kg, suv.dose_bq, suv.half_life_s, suv.decay_s) == (71, 388777472, 6588, 2711)
    assert suv.rescale_slope is not None
    assert suv.rescale_slope[1] / suv.rescale_slope[0] > 10
    assert record.tracer.tracer is Tracer.FDG
    assert imported.study.technique.uptake_min == pytest.approx(45.2)
    assert imported.study.date is None
    assert not any("check" in note for note in imported.study.notes)
    assert "STS_001" not in record.model_dump_json()
