"""Liver and blood pool found by rules, against the truth of synthetic patients and on a real scan."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from fedpsma.domain.study import Study
from fedpsma.io.nifti import read_volume
from fedpsma.io.study_loader import load_study
from fedpsma.phantom.patient import draw_patient
from fedpsma.site_check.coarse import CoarseGrid, coarse_grid
from fedpsma.site_check.references import find_blood_pool, find_liver


def _coarse(study: Study) -> tuple[np.ndarray, np.ndarray | None, CoarseGrid]:
    grid = coarse_grid(study.spacing_mm)
    return grid.mean_of(study.pet), None if study.ct is None else grid.mean_of(study.ct), grid


@pytest.mark.slow
def test_organs_of_synthetic_patients_of_every_site() -> None:
    livers, pools, patients, with_ct = [], [], 0, 0
    for site in "ABCDE":
        for index in range(4):
            patient = draw_patient(site, 200 + index, 7)
            pet, ct, grid = _coarse(patient.study)
            patients, with_ct = patients + 1, with_ct + (ct is not None)
            liver = find_liver(pet, grid)
            if liver is not None:
                assert liver.side == "R"
                livers.append(liver.mean / patient.truth.organ_suv["liver"])
            pool = None if ct is None else find_blood_pool(pet, ct, grid)
            if pool is not None:
                pools.append(pool.mean / patient.truth.organ_suv["blood_pool"])
    assert len(livers) >= 0.95 * patients
    assert len(pools) >= 0.8 * with_ct
    assert 0.9 < np.median(livers) < 1.1
    assert np.quantile(np.abs(np.log(livers)), 0.9) < 0.15
    assert 0.85 < np.median(pools) < 1.1
    assert np.quantile(np.abs(np.log(pools)), 0.9) < 0.25


def test_a_mirrored_patient_has_the_liver_on_the_left_with_the_same_uptake() -> None:
    pet, _, grid = _coarse(draw_patient("C", 201, 7).study)
    found, mirrored = find_liver(pet, grid), find_liver(np.ascontiguousarray(pet[::-1]), grid)
    assert found is not None
    assert mirrored is not None
    assert (found.side, mirrored.side) == ("R", "L")
    assert mirrored.mean == pytest.approx(found.mean, rel=0.05)


def test_the_unit_of_the_pet_does_not_matter() -> None:
    pet, _, grid = _coarse(draw_patient("C", 201, 7).study)
    found, scaled = find_liver(pet, grid), find_liver(pet * 4000, grid)
    assert found is not None
    assert scaled is not None
    assert scaled.centre == found.centre


def test_nothing_is_found_where_there_is_no_liver() -> None:
    grid = coarse_grid((4.0, 4.0, 4.0))
    rng = np.random.default_rng(0)
    assert find_liver(np.zeros((60, 40, 120), np.float32), grid) is None
    assert find_liver(rng.gamma(4, 0.2, (60, 40, 120)).astype(np.float32), grid) is None
    legs = draw_patient("C", 201, 7).study.pet[:, :, :20]
    assert find_liver(coarse_grid((4.073, 4.073, 5.0)).mean_of(legs), coarse_grid((4.073, 4.073, 5.0))) is None
    assert find_blood_pool(np.ones((60, 40, 120), np.float32), np.zeros((60, 40, 120), np.float32), grid) is None


@pytest.mark.shared
def test_no_liver_is_seen_in_real_crops_round_a_tumour(shared: Path) -> None:
    crops = sorted((shared / "data" / "ibsi_validation_sts" / "nifti").glob("*_pet_suv.nii.gz"))
    assert len(crops) == 26
    for path in crops:
        pet = read_volume(path)
        grid = coarse_grid(tuple(np.linalg.norm(pet.affine[:3, :3], axis=0)))
        assert find_liver(grid.mean_of(pet.data), grid) is None, path.name


@pytest.mark.shared
def test_the_liver_of_a_real_fdg_scan(shared: Path, tmp_path: Path) -> None:
    with tarfile.open(next((shared / "data" / "sts_001_raw").glob("*.tar.xz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    pet, _, grid = _coarse(load_study(tmp_path, key=b"0" * 32))
    liver = find_liver(pet, grid)
    assert liver is not None
    assert liver.side == "R"
    assert 1.5 < liver.mean < 3.5
    assert liver.sd / liver.mean < 0.2
