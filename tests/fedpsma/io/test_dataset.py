"""Data set folders: what is read, and what is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset, DatasetInfo, StudyRow, read_dataset, write_dataset
from fedpsma.io.nifti import write_volume

AFFINE = np.diag([4.0, 4.0, 3.0, 1.0])
SUV = np.random.default_rng(0).uniform(0, 12, (5, 6, 7)).astype(np.float32)
INFO = DatasetInfo(name="test", site="A", contour="suv3", tracer=Tracer.PSMA_11)


def _row(name: str, patient: str, **more: Any) -> StudyRow:
    return StudyRow(id=name, patient=patient, pet="pet.nii.gz", spacing=(4.0, 4.0, 3.0), **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_volume(tmp_path / "pet.nii.gz", SUV, AFFINE)
    write_volume(tmp_path / "ct.nii.gz", SUV * 10, AFFINE)
    labels = np.zeros(SUV.shape, np.int32)
    labels[1, 2, 3] = 300
    write_volume(tmp_path / "mask.nii.gz", labels, AFFINE)
    write_volume(tmp_path / "anatomy.nii.gz", (SUV > 6).astype(np.uint8), AFFINE)
    return tmp_path


def test_what_is_written_is_read(folder: Path) -> None:
    rows = [
        _row("s1", "b", date="2024-01-31", ct="ct.nii.gz", mask="mask.nii.gz", anatomy="anatomy.nii.gz"),
        _row("s2", "a", tracer=Tracer.DCFPYL),
        _row("s3", "b"),
    ]
    write_dataset(folder, INFO, rows)
    dataset = read_dataset(folder)
    assert dataset == Dataset(folder, INFO, tuple(rows))
    assert dataset.patients == ("a", "b")
    assert [row.id for row in dataset.rows_of("b")] == ["s1", "s3"]
    study = dataset.load(dataset.rows[0])
    assert np.array_equal(study.pet, SUV)
    assert np.array_equal(study.ct, SUV * 10)
    assert study.lesions is not None
    assert study.lesions[1, 2, 3] == 300
    assert study.anatomy is not None
    assert study.anatomy.dtype == np.uint8
    assert [dataset.load(row).tracer for row in dataset.rows] == [Tracer.PSMA_11, Tracer.DCFPYL, Tracer.PSMA_11]


def _first_line(**changes: Any) -> str:
    content = {"id": "s1", "patient": "p", "pet": "pet.nii.gz", "spacing": [4, 4, 3], **changes}
    return json.dumps({name: value for name, value in content.items() if value is not ...})


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([], "has no study"),
        (["", "  "], "has no study"),
        ([_first_line(), "{nonsense"], "line 2: is not JSON"),
        ([_first_line(), "", _first_line()], "line 3: the id 's1' stands there twice"),
        ([_first_line(patient="")], "line 1: patient:"),
        ([_first_line(pet=...)], "line 1: pet: Field required"),
        ([_first_line(tracer="PSMA")], "line 1: tracer:"),
        ([_first_line(spacing=[4, 4])], "line 1: spacing.2: Field required"),
        ([_first_line(suv=1)], "line 1: suv: Extra inputs"),
        (["[]"], "line 1: the whole:"),
    ],
)
def test_wrong_line_is_named(folder: Path, lines: list[str], named: str) -> None:
    write_dataset(folder, INFO, [])
    (folder / "studies.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputError) as refused:
        read_dataset(folder)
    assert named in str(refused.value)


def test_wrong_head_is_named(folder: Path) -> None:
    write_dataset(folder, INFO, [_row("s1", "p")])
    (folder / "dataset.json").write_text(json.dumps({"name": "x", "site": "A", "contour": "pct42"}))
    with pytest.raises(InputError, match=r"dataset\.json: contour: Input should be"):
        read_dataset(folder)
    (folder / "dataset.json").unlink()
    with pytest.raises(InputError, match=r"dataset\.json: does not exist"):
        read_dataset(folder)
    with pytest.raises(InputError, match="is not a folder"):
        read_dataset(folder / "pet.nii.gz")


def test_mask_of_another_grid_is_refused_when_loaded(folder: Path) -> None:
    write_volume(folder / "mask.nii.gz", np.zeros((5, 6, 8), np.uint8), AFFINE)
    dataset = write_dataset(folder, INFO, [_row("s1", "p", mask="mask.nii.gz")])
    with pytest.raises(InputError, match="lies on another grid"):
        dataset.load(dataset.rows[0])


def test_missing_volume_is_refused_when_loaded(folder: Path) -> None:
    dataset = write_dataset(folder, INFO, [_row("s1", "p", ct="gone.nii.gz")])
    with pytest.raises(InputError, match=r"gone\.nii\.gz: does not exist"):
        dataset.load(dataset.rows[0])
