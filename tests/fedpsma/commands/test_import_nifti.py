"""``fedpsma import nifti`` as a user sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fedpsma.commands.import_ import import_
from fedpsma.errors import InputError
from fedpsma.io.dataset import read_dataset
from fedpsma.io.nifti import write_volume

SUV = np.random.default_rng(0).uniform(0, 12, (5, 6, 7)).astype(np.float32)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name in ("s1", "s2"):
        write_volume(tmp_path / f"{name}.nii.gz", SUV, np.eye(4))
    path = tmp_path / "table.csv"
    path.write_text("id,patient,pet\ns1,p1,s1.nii.gz\ns2,p2,s2.nii.gz\n")
    return path


def _import(table: Path, *options: str) -> Result:
    fixed = ["nifti", str(table), "--out", str(table.parent / "out"), "--name", "test", "--site", "A"]
    return CliRunner().invoke(import_, [*fixed, *options])


def test_table_becomes_a_data_set(table: Path) -> None:
    shown = _import(table, "--contour", "suv3", "--tracer", "68Ga-PSMA-11", "--units", "suv")
    assert shown.exit_code == 0, shown.output
    assert f"{table.parent / 'out'}: 2 studies of 2 patients" in shown.output
    assert "no CT: findings rest on PET alone: s1, s2" in shown.output
    dataset = read_dataset(table.parent / "out")
    assert (dataset.info.site, dataset.info.contour, dataset.info.tracer) == ("A", "suv3", "68Ga-PSMA-11")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--contour", "suv2", "--units", "suv"], "options: contour: Input should be"),
        (["--contour", "suv3", "--tracer", "PSMA", "--units", "suv"], "options: tracer: Input should be"),
        (["--contour", "suv3"], "is a PET without units"),
    ],
)
def test_wrong_options_are_named_and_write_nothing(table: Path, options: list[str], named: str) -> None:
    shown = _import(table, *options)
    assert isinstance(shown.exception, InputError)
    assert named in str(shown.exception)
    assert not (table.parent / "out").exists()
