from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from command_line import in_process

from fedpsma.analysis import AnalysisOptions, describe
from fedpsma.commands import analyze as command
from fedpsma.comparison.folder import read_examined
from fedpsma.domain.study import VoxelPrediction
from fedpsma.errors import InputError
from fedpsma.io.dataset import DatasetInfo, StudyRow, write_dataset
from fedpsma.io.exam_file import read_exam
from fedpsma.io.nifti import read_volume, write_volume
from fedpsma.lesions.candidates import CandidateOptions
from fedpsma.model.checkpoint import ModelCard


@pytest.fixture
def app():
    return in_process(command.analyze)


@pytest.fixture
def dataset(ball, make_patient, tmp_path):
    """Two synthetic studies: one with two lesions, one healthy."""
    folder, rows = tmp_path / "data", []
    sick = [ball((60, 0, 20), 10, 12.0, anatomy="rib", lesion=1), ball((-60, 0, 0), 9, 8.0, anatomy="rib", lesion=2)]
    for name, balls in (("sick", sick), ("healthy", [])):
        study = make_patient(balls).study
        write_volume(folder / f"{name}.nii.gz", study.pet, study.affine)
        write_volume(folder / f"{name}_mask.nii.gz", study.lesions, study.affine)
        files = {"pet": f"{name}.nii.gz", "mask": f"{name}_mask.nii.gz"}
        rows.append(StudyRow(id=name, patient=name, tracer="68Ga-PSMA-11", spacing=study.spacing_mm, **files))
    write_dataset(folder, DatasetInfo(name="made up", site="A", contour="pct50", synthetic=True), rows)
    return folder


@pytest.fixture
def without_network(monkeypatch):
    """Let the expert's mask stand for what a network says, so that no network is needed."""

    def run(given, _model, contour):
        suspicious = (given.study.lesions > 0).astype(np.float32) * 0.9
        anatomy = np.full(suspicious.shape, 24, dtype=np.uint8)
        options = AnalysisOptions(candidates=CandidateOptions(contour=contour.value))
        found = describe(given.study, VoxelPrediction(suspicious, 1 - suspicious, anatomy), options)
        return found, ModelCard(name="mask", data="none", recipe={}, metrics={}, sha256="0" * 64)

    monkeypatch.setattr(command, "_run", run)


def test_a_study_becomes_a_finished_folder(app, dataset, without_network, tmp_path):
    out = tmp_path / "out"
    shown = app(dataset, "--study", "sick", "--out", out).stdout
    assert "SYNTHETIC" in shown
    assert "no CT" in shown
    assert "not a medical device" in shown
    exam = read_exam(out / "exam.json")
    assert [one.lesion_id for one in exam.lesions] == ["L1", "L2"]
    labels = read_volume(out / "lesions.nii.gz")
    assert np.unique(labels.data).tolist() == [0, 1, 2]
    assert np.allclose(labels.affine, read_volume(dataset / "sick.nii.gz").affine)
    with (out / "lesions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert float(rows[0]["suvmax"]) == pytest.approx(exam.lesions[0].suvmax, abs=0.05)
    assert float(rows[0]["tlu"]) == pytest.approx(float(rows[0]["volume_ml"]) * float(rows[0]["suvmean"]), rel=1e-3)
    summary = json.loads((out / "analysis.json").read_text())
    assert summary["synthetic"] is True
    assert summary["contour"]["convention"] == "pct50", "the convention of the data set"
    assert summary["model"]["sha256"] == "0" * 64
    assert (out / "mip.png").read_bytes()[:4] == b"\x89PNG"
    assert (out / "key_images.png").is_file()
    again = read_examined(out)
    assert np.unique(again.study.anatomy).tolist() == [24], "the map that names the region of a lesion added by hand"
    assert (again.labels == labels.data).all()


def test_files_of_others_are_not_deleted(app, dataset, without_network, tmp_path):
    out = tmp_path / "out"
    app(dataset, "--study", "sick", "--out", out)
    (out / "saliency").mkdir()
    app(dataset, "--study", "sick", "--out", out)
    assert not (out / "saliency").exists(), "an explanation belongs to the analysis it explains"
    (out / "my notes.txt").write_text("precious")
    with pytest.raises(InputError, match=r"holds 'my notes\.txt', which would be deleted"):
        app(dataset, "--study", "sick", "--out", out)
    assert (out / "my notes.txt").read_text() == "precious"


def test_a_healthy_study_has_no_lesions_and_no_key_image(app, dataset, without_network, tmp_path):
    shown = app(dataset, "--study", "healthy", "--out", tmp_path / "out").stdout
    assert "No lesion found." in shown
    assert not (tmp_path / "out/key_images.png").exists()
    assert read_exam(tmp_path / "out/exam.json").psma_vol_ml == 0.0


def test_an_earlier_analysis_is_replaced_but_nothing_else(app, dataset, without_network, tmp_path):
    out = tmp_path / "out"
    app(dataset, "--study", "sick", "--out", out)
    app(dataset, "--study", "healthy", "--out", out)
    assert read_exam(out / "exam.json").lesions == []
    other = tmp_path / "holiday"
    other.mkdir()
    (other / "photo.jpg").write_text("keep me")
    with pytest.raises(InputError, match=r"holds something else, such as 'photo\.jpg'"):
        app(dataset, "--study", "sick", "--out", other)
    assert (other / "photo.jpg").is_file()


def test_the_tracer_on_the_command_line_outranks_the_files(app, dataset, without_network, tmp_path):
    shown = app(dataset, "--study", "sick", "--out", tmp_path / "out", "--tracer", "18f-fdg").stdout
    assert "not a PSMA tracer" in " ".join(shown.split())
    exam = read_exam(tmp_path / "out/exam.json")
    assert (exam.tracer, exam.psma_vol_ml) == ("18F-FDG", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "has 2 studies; give --study, one of sick, healthy"),
        (["--study", "nobody"], "has no study 'nobody'"),
        (["--study", "sick", "--tracer", "gold"], "'gold' is not a known tracer"),
        (["--study", "sick", "--units", "suv"], "a data set knows its CT and units"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(app, dataset, tmp_path, arguments, message):
    with pytest.raises(InputError) as caught:
        app(dataset, "--out", tmp_path / "out", *arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_a_nifti_pet_needs_its_unit(app, dataset, without_network, tmp_path):
    pet = dataset / "sick.nii.gz"
    with pytest.raises(InputError, match="--units suv"):
        app(pet, "--out", tmp_path / "out")
    with pytest.raises(InputError, match="leave out --study"):
        app(pet, "--out", tmp_path / "out", "--study", "sick")
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_said_before_anything_is_written(app, dataset, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        app(dataset, "--study", "sick", "--out", tmp_path / "out", "--model", tmp_path / "none.safetensors")
    assert not (tmp_path / "out").exists()


def test_a_failure_while_writing_leaves_the_earlier_analysis(app, dataset, without_network, tmp_path, monkeypatch):
    out = tmp_path / "out"
    app(dataset, "--study", "sick", "--out", out)
    monkeypatch.setattr("fedpsma.analysis_folder.mip_picture", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        app(dataset, "--study", "healthy", "--out", out)
    assert len(read_exam(out / "exam.json").lesions) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


@pytest.mark.slow
def test_a_real_network_runs_from_end_to_end(app, dataset, tmp_path):
    import torch

    from fedpsma.model.checkpoint import save_checkpoint, weights_of
    from fedpsma.model.config import NetworkConfig
    from fedpsma.model.network import LesionNet

    torch.manual_seed(0)
    config = NetworkConfig(channels=(8, 16), norm_groups=4)
    model = tmp_path / "untrained.safetensors"
    card = ModelCard(name="untrained", data="none", recipe={}, metrics={})
    save_checkpoint(model, config, weights_of(LesionNet(config)), card)
    app(dataset, "--study", "sick", "--out", tmp_path / "out", "--model", model)
    summary = json.loads((tmp_path / "out/analysis.json").read_text())
    assert summary["model"]["name"] == "untrained"
    assert len(summary["model"]["sha256"]) == 64
