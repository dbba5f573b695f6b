"""Answers that differ by a few patients are never given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_patients import toy_dataset
from typer.testing import CliRunner

from client.answers.releases import release
from client.answers.statistics import statistics_of
from client.commands import site
from fedpsma.errors import InputError
from fedpsma.federated.disclosure import LEAST_PATIENTS
from fedpsma.federated.statistics import SiteStatistics
from fedpsma.io.dataset import Dataset, DatasetInfo, StudyRow, read_dataset
from server.federation_commands import federation


def _dataset(folder: Path, patients: int) -> Dataset:
    rows = tuple(StudyRow(id=f"s{n}", patient=f"p{n}", pet=f"{n}.nii", spacing=(4, 4, 4)) for n in range(patients))
    return Dataset(folder, DatasetInfo(name="x", site="x", contour="manual"), rows)


def _answer(state: Path, patients: int) -> str:
    data = _dataset(state, patients)
    return release(state, "count", data, DatasetInfo, lambda: data.info.model_copy(update={"name": str(patients)})).name


def test_an_answer_stays_until_enough_patients_have_changed(tmp_path: Path) -> None:
    assert _answer(tmp_path, 20) == "20"
    assert [_answer(tmp_path, 20 + more) for more in range(1, LEAST_PATIENTS)] == ["20"] * (LEAST_PATIENTS - 1)
    assert _answer(tmp_path, 20 + LEAST_PATIENTS) == "25"
    assert _answer(tmp_path, 24) == "25"
    assert _answer(tmp_path, 21) == "20"


def test_no_detour_leads_to_answers_one_patient_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = {_answer(tmp_path, int(patients)) for patients in rng.integers(20, 60, 200)}
    apart = np.diff(sorted(map(int, given)))
    assert apart.min() >= LEAST_PATIENTS


def test_a_broken_memory_is_not_overwritten(tmp_path: Path) -> None:
    _answer(tmp_path, 20)
    (tmp_path / "released/count.json").write_text('{"releases": 3}', "utf-8")
    with pytest.raises(InputError):
        _answer(tmp_path, 20)
    assert (tmp_path / "released/count.json").read_text("utf-8") == '{"releases": 3}'


def test_a_site_tells_and_the_coordinator_reads(tmp_path: Path) -> None:
    data = toy_dataset(tmp_path / "data", 6)
    found = statistics_of(data, tmp_path / "state")
    assert found.patients == 5
    assert found.contour == "suv3"
    told = tmp_path / "told.json"
    run = CliRunner().invoke(
        site, ["statistics", str(data.folder), "--state", str(tmp_path / "state"), "--out", str(told)]
    )
    assert run.exit_code == 0, run.output
    assert SiteStatistics.model_validate_json(told.read_text("utf-8")) == found
    shown = CliRunner().invoke(federation, ["statistics", str(told), str(data.folder), "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert "fewer than 5" in (tmp_path / "out/statistics.html").read_text("utf-8")
    assert read_dataset(data.folder).patients == data.patients
