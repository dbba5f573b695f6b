"""Real PET/CT through the real command line: a federation of three scanners, and one DICOM folder to its report.

The patients have soft-tissue sarcoma and got 18F-FDG, so only the way is tested here, not how good the model is.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from command_line import run_fedpsma
from PIL import Image
from sarcoma_sites import write_site_tables

from client.ledger import Ledger
from fedpsma.domain.tracer import Tracer
from fedpsma.io.dataset import read_dataset
from fedpsma.io.exam_file import read_exam
from fedpsma.io.nifti import read_volume
from fedpsma.model.checkpoint import load_checkpoint, load_network

pytestmark = [pytest.mark.shared, pytest.mark.slow, pytest.mark.timeout(900)]


def _do(folder: Path, *arguments: object) -> str:
    done = run_fedpsma(*arguments, cwd=folder, timeout=600, XDG_CONFIG_HOME=str(folder / "config"))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_three_scanners_train_one_model_privately(shared: Path, tmp_path: Path) -> None:
    names = []
    for table in write_site_tables(shared, tmp_path).values():
        names.append(table.stem)
        options = ("--name", table.stem, "--site", table.stem, "--contour", "manual", "--units", "suv")
        _do(tmp_path, "import", "nifti", table.name, "--out", table.stem, *options)
    sites = [read_dataset(tmp_path / name) for name in names]
    assert [len(site.patients) for site in sites] == [5, 5, 16]
    assert {row.tracer or site.info.tracer for site in sites for row in site.rows} == {Tracer.FDG}
    assert len({tuple(round(edge, 2) for edge in row.spacing) for site in sites for row in site.rows}) == 3
    details = ("--set", "steps_per_round=2", "--set", "delta=0.01", "--set", "seed=1")
    plan = ("--rounds", 2, "--epsilon", 8, *details)
    shown = _do(tmp_path, "simulate", *names, "--out", "federation", *plan)
    assert "2 rounds" in shown
    _assert_private_and_finished(tmp_path / "federation", names)
    _assert_trained(tmp_path / "federation" / "model" / "model.safetensors")


def _assert_private_and_finished(federation: Path, names: list[str]) -> None:
    closed = json.loads((federation / "checkpoints" / "round_02.json").read_text("utf-8"))
    assert closed["round"] == 2
    assert list(closed["sites"]) == names
    for name, paid in closed["sites"].items():
        assert (paid["rounds"], paid["delta"]) == (2, 0.01)
        assert 0 < paid["epsilon"] <= 8
        # What real patients pay is written down beside them, for all runs to come.
        charges = Ledger(federation.parent / name / "ledger.jsonl").history()
        assert [charge.steps for charge in charges if charge is not None] == [2, 2]
    card = load_checkpoint(federation / "model" / "model.safetensors").card
    assert card.epsilon is not None
    assert 0 < card.epsilon <= 8
    assert card.delta == 0.01


def _assert_trained(model: Path) -> None:
    """The adaptive weights moved, finitely; all others are those of the base."""
    base, trained = load_checkpoint().weights, load_checkpoint(model).weights
    assert set(base) == set(trained)
    moved = {name for name in base if not np.array_equal(base[name], trained[name])}
    assert moved
    assert len(moved) < len(base)
    assert all(np.isfinite(weights).all() for weights in trained.values())
    load_network(model)


def test_a_dicom_folder_becomes_a_report_that_claims_no_more_than_it_knows(shared: Path, tmp_path: Path) -> None:
    with tarfile.open(next((shared / "data/sts_001_raw").glob("*.tar.xz"))) as archive:
        archive.extractall(tmp_path / "dicom", filter="data")
    shown = _do(tmp_path, "analyze", "dicom", "--out", "read")
    assert "no CT: findings rest on PET alone" in shown
    _assert_analysis(tmp_path / "read")
    staged = _do(tmp_path, "stage", "read/exam.json", "--out", "read/assessment.json")
    assert "stage:      not applicable" in staged
    assert "18F-FDG is not a PSMA tracer: PROMISE, PSMA-RADS, PRIMARY and RECIP do not apply" in staged
    _do(tmp_path, "report", "draft", "read/exam.json", "--out", "report", "--writer", "template")
    _assert_report(tmp_path / "report")


def _assert_analysis(folder: Path) -> None:
    exam = read_exam(folder / "exam.json")
    assert exam.tracer == Tracer.FDG
    assert exam.technique.uptake_min == pytest.approx(45.2, abs=0.1)
    assert exam.psma_vol_ml is None
    assert exam.lesions
    notes = " ".join(json.loads((folder / "analysis.json").read_text("utf-8"))["notes"])
    assert "no CT" in notes
    assert "18F-FDG is not a PSMA tracer" in notes
    assert all(one.size_mm is None for one in exam.lesions if one.region.is_node)
    labels = read_volume(folder / "lesions.nii.gz").data
    assert sorted(np.unique(labels)) == list(range(len(exam.lesions) + 1))
    with Image.open(folder / "mip.png") as picture:
        assert min(picture.size) > 500
        assert len(np.unique(np.asarray(picture.convert("L")))) > 100


def _assert_report(folder: Path) -> None:
    text = (folder / "draft.txt").read_text("utf-8")
    assert "do not apply to 18F-FDG" in text
    assert "miT" not in text.replace("miTNM", "")
    assert "suspicious CT correlate" not in text
    draft = json.loads((folder / "draft.json").read_text("utf-8"))
    assert all(check["passed"] for check in draft["verification"]["checks"])
    assert draft["provenance"]["sentences_by_origin"].keys() == {"template"}
    assert draft["assessment"]["mitnm_string"] is None
