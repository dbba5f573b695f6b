"""``fedpsma site check`` as a site's staff runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from client.commands import site
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.io.dataset import DatasetInfo, StudyRow, write_dataset
from fedpsma.io.nifti import write_volume
from fedpsma.site_check.limits import limits

AFFINE = np.diag([5.0, 5.0, 5.0, 1.0])


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(site, ["check", *map(str, arguments), "--workers", "1"])


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Columns of noise with one hot lesion each: enough for an index without errors."""
    folder = tmp_path / "ours"
    rows = []
    for number in range(round(limits().rules.least_patients.value)):
        rng = np.random.default_rng(number)
        pet = np.zeros((60, 50, 90), np.float32)
        pet[10:50, 10:40] = rng.gamma(8, 0.1, (40, 30, 90))
        mask = np.zeros(pet.shape, np.int16)
        mask[20:24, 20:24, 30 + number : 34 + number] = 1
        pet[mask > 0] = 9.0
        for kind, volume in {"pet": pet, "mask": mask}.items():
            write_volume(folder / kind / f"{number}.nii.gz", volume, AFFINE)
        paths = {"pet": f"pet/{number}.nii.gz", "mask": f"mask/{number}.nii.gz"}
        rows.append(StudyRow(id=f"s{number}", patient=f"p{number}", spacing=(5.0, 5.0, 5.0), **paths))
    info = DatasetInfo(name="ours", site="north", tracer=Tracer.PSMA_11, contour="manual")
    write_dataset(folder, info, rows)
    return folder


def test_a_sound_data_set_is_ready(dataset: Path) -> None:
    result = _run(dataset)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("ready to train")
    assert (dataset / "check" / "check.html").is_file()
    assert (dataset / "check" / "check.json").is_file()


def test_an_error_ends_with_code_2_and_names_the_file(dataset: Path, tmp_path: Path) -> None:
    (dataset / "mask" / "2.nii.gz").unlink()
    result = _run(dataset, "--out", tmp_path / "report")
    assert result.exit_code == 2
    assert "mask/2.nii.gz: does not exist" in result.output
    assert "training must not start: 1 error" in result.output.splitlines()[-1]
    assert not (dataset / "check").exists()
    assert (tmp_path / "report" / "check.html").is_file()


def test_json_for_scripts_is_nothing_but_json(dataset: Path) -> None:
    result = _run(dataset, "--json")
    assert json.loads(result.stdout)["ready"] is True


@pytest.mark.parametrize("broken", ["nowhere", "index"])
def test_a_wrong_folder_or_index_is_one_line(dataset: Path, tmp_path: Path, broken: str) -> None:
    if broken == "index":
        with (dataset / "studies.jsonl").open("a", encoding="utf-8") as stream:
            stream.write("{broken\n")
    result = _run(dataset if broken == "index" else tmp_path / "nowhere")
    assert isinstance(result.exception, InputError)
    assert "\n" not in str(result.exception)
    assert ("line 7" in str(result.exception)) == (broken == "index")
