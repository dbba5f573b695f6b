from __future__ import annotations

import json
from time import perf_counter

import numpy as np
import pytest
from command_line import in_process

from fedpsma.analysis import describe
from fedpsma.commands.evaluate import evaluate
from fedpsma.domain.study import VoxelPrediction
from fedpsma.errors import InputError
from fedpsma.evaluation import readers
from fedpsma.evaluation.report import Evaluation
from fedpsma.model.checkpoint import ModelCard, save_checkpoint
from fedpsma.model.config import NetworkConfig
from fedpsma.phantom.cohort import write_cohort
from fedpsma.phantom.patient import PhantomOptions


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    """Four synthetic patients of a site, on a coarse grid."""
    folder = tmp_path_factory.mktemp("phantoms") / "A"
    write_cohort(folder, "A", range(4), 77, options=PhantomOptions(spacing_mm=6.0))
    return folder


@pytest.fixture
def app():
    return in_process(evaluate)


@pytest.fixture
def made_up_models(tmp_path, monkeypatch):
    """Checkpoints without a network: what they say of a study is the truth, weakened as the name of the card asks."""
    asked = []

    def analyze(study, net, options):
        asked.append(study.study_id)
        suspicious = (study.lesions > 0).astype("float32") * net
        return describe(study, VoxelPrediction(suspicious, 1 - suspicious, study.anatomy), options)

    monkeypatch.setattr(readers, "analyze", analyze)
    monkeypatch.setattr(readers, "load_network", lambda path: {"sharp": 0.95, "dull": 0.4}[path.stem])
    for name in ("sharp", "dull"):
        card = ModelCard(name=name, data="none", recipe={}, metrics={}, epsilon=8.0 if name == "dull" else None)
        weights = {"a": np.full((1, 1), len(name), dtype=np.float32)}
        save_checkpoint(tmp_path / f"{name}.safetensors", NetworkConfig(), weights, card)
    return tmp_path, asked


def read_report(out):
    return Evaluation.model_validate_json((out / "evaluation.json").read_text())


def test_two_models_are_evaluated_compared_and_kept(app, phantoms, made_up_models, tmp_path):
    folder, asked = made_up_models
    models = ["--model", folder / "sharp.safetensors", "--model", folder / "dull.safetensors"]
    shown = app(phantoms, "--out", tmp_path / "out", *models).stdout
    assert "4 synthetic patients" in shown
    assert "no clinician" in " ".join(shown.split())
    report = read_report(tmp_path / "out")
    sharp, dull = report.models
    assert (sharp.name, dull.name, sharp.epsilon, dull.epsilon) == ("sharp", "dull", None, 8.0)
    assert report.synthetic
    assert sharp.groups[0].patients == 4
    figures, weak = sharp.groups[0].figures, dull.groups[0].figures
    assert figures["average_precision"].value > 0.9
    assert figures["location_suspicious"].value > 0.9
    assert figures["n_any_ceiling"].value is not None
    assert weak["sensitivity_positive"].value == 0.0
    assert figures["sensitivity_positive"].value > 0.8
    assert {one.model for one in report.differences} == {"dull"}
    page = (tmp_path / "out/evaluation.html").read_text()
    assert "Every patient is synthetic" in page
    assert len(asked) == 8
    app(phantoms, "--out", tmp_path / "out", *models)
    assert len(asked) == 8, "what was read is kept"
    app(phantoms, "--out", tmp_path / "out", *models, "--patients", "A0001..A0002", "--contour", "pct50")
    assert len(asked) == 12
    assert read_report(tmp_path / "out").models[0].groups[0].patients == 2


def test_the_status_of_the_prostate_reaches_the_analysis(app, phantoms, made_up_models, tmp_path, monkeypatch):
    folder, _ = made_up_models
    told = {}
    analyze = readers.analyze

    def listening(study, net, options):
        told[study.study_id] = options.prostate_status
        return analyze(study, net, options)

    monkeypatch.setattr(readers, "analyze", listening)
    app(phantoms, "--out", tmp_path / "out", "--model", folder / "sharp.safetensors")
    records = {path.stem: json.loads(path.read_text()) for path in phantoms.glob("truth/A000?.json")}
    assert told == {name: one["exam"]["clinical"]["prostate_status"] for name, one in records.items()}


@pytest.mark.shared
def test_the_published_pair_of_masks(app, shared, tmp_path, record_property):
    """The autoPET figures of the nnU-Net baseline on a PSMA patient with 112 lesions."""
    folder = shared / "data/autopet3_psma_sample"
    stem = "psma_95b833d46f153cd2_2018-04-16"
    start = perf_counter()
    app(
        folder / f"{stem}_expert_lesions.nii.gz",
        "--predicted",
        folder / f"{stem}_pred_nnunet_baseline.nii.gz",
        "--out",
        tmp_path / "out",
    )
    record_property("seconds", perf_counter() - start)
    report = read_report(tmp_path / "out")
    figures = report.models[0].groups[0].figures
    assert figures["dice"].value == pytest.approx(0.696734, abs=1e-6)
    assert figures["false_positive_ml"].value == pytest.approx(2.7536, abs=1e-4)
    assert figures["false_negative_ml"].value == pytest.approx(25.0146, abs=1e-4)
    assert report.models[0].groups[0].lesions == 112
    assert "average_precision" not in figures
    assert stem not in (tmp_path / "out/evaluation.html").read_text()
    assert stem not in (tmp_path / "out/evaluation.json").read_text()


def test_bad_input_is_one_line(app, phantoms, tmp_path):
    mask = phantoms / "mask/A0000.nii.gz"
    cases = [
        ([tmp_path / "nowhere"], "is not a folder"),
        ([phantoms, "--model", tmp_path / "none.safetensors"], "does not exist"),
        ([phantoms, "--patients", "B1"], "names no patient"),
        ([phantoms, "--predicted", mask], "goes with one true mask"),
        ([mask, "--predicted", mask, "--patients", "A0000"], "--patients: has no meaning for one mask"),
        ([phantoms, "--predicted", tmp_path / "nowhere"], "is not a folder"),
        ([phantoms, phantoms, "--patients", "A0000"], "stands in another data set"),
    ]
    for arguments, message in cases:
        with pytest.raises(InputError) as caught:
            app(*arguments, "--out", tmp_path / "out")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out/evaluation.json").exists()
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(InputError, match="is a file"):
        app(phantoms, "--out", occupied)
