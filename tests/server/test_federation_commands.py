"""What a coordinator sees of an evaluation and a calibration over sites."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_scores import made_up_studies
from toy_patients import toy_dataset
from typer.testing import CliRunner

import client.answers.evaluation
from fedpsma.evaluation.sample import Sample
from fedpsma.federated.calibration import SiteScores, judge_digest
from fedpsma.federated.evaluation import FederatedFigures, SiteEvaluation, site_evaluation
from fedpsma.federated.exchange import RankingAsked, SpreadTold
from fedpsma.federated.ranking import influence_of
from fedpsma.federated.scores import Scored, runs_of
from fedpsma.io.dataset import Dataset
from fedpsma.lesions.judge import Judge, load_judge
from fedpsma.model.checkpoint import ModelCard, judge_path, load_checkpoint, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import build
from server.federation_commands import federation


@pytest.fixture
def sites(tmp_path: Path) -> list[str]:
    return [str(toy_dataset(tmp_path / name, 5, site=name).folder) for name in "AB"]


def _sample(site: str) -> Sample:
    return Sample.of(made_up_studies(30, seed=ord(site)))


def test_figures_of_all_sites_are_shown_with_intervals(
    sites: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(data: Dataset, state: Path, model: Path | None) -> SiteEvaluation:
        return site_evaluation(_sample(data.info.site), site=data.info.site, contour="suv3", model_sha256="m")

    def influence(data: Dataset, state: Path, model: Path | None, asked: RankingAsked) -> SpreadTold:
        told = influence_of(_sample(data.info.site), asked.ranking())
        return SpreadTold(site=data.info.site, asked=asked.digest, influence=told)

    monkeypatch.setattr(client.answers.evaluation, "evaluation_of", told)
    monkeypatch.setattr(client.answers.evaluation, "ranking_spread_of", influence)
    run = CliRunner().invoke(federation, ["evaluate", *sites, "--out", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    found = FederatedFigures.model_validate_json((tmp_path / "out/evaluation.json").read_text("utf-8"))
    assert found.patients == 60
    assert set(found.sites) == {"A", "B"}
    for name in ("dice", "average_precision"):
        assert found.together[name].low is not None
    assert "all sites" in run.output


def test_a_judge_is_fitted_to_the_histograms(sites: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = NetworkConfig(channels=(8, 8), norm_groups=4)
    model = tmp_path / "model.safetensors"
    save_checkpoint(model, network, weights_of(build(network)), ModelCard(name="m", data="d", recipe={}, metrics={}))
    sha256 = load_checkpoint(model).card.sha256

    def told(data: Dataset, state: Path, model: Path | None, judge: Judge) -> SiteScores:
        rng = np.random.default_rng(ord(data.info.site))
        logit = rng.normal(0, 2, 600)
        kinds = (rng.random(600) < 1 / (1 + np.exp(-logit))).astype(np.intp)
        tracer = next(iter(judge.temperature))
        runs = runs_of(Scored(3 * logit, kinds, np.arange(600)), 2)
        return SiteScores(
            site=data.info.site,
            model_sha256=judge.model_sha256,
            judge_sha256=judge_digest(judge),
            tracers={tracer: runs},
        )

    monkeypatch.setattr(client.answers.evaluation, "scores_of", told)
    run = CliRunner().invoke(federation, ["calibrate", *sites, "--model", str(model), "--out", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    judge = load_judge(judge_path(model), sha256)
    assert judge is not None
    assert next(iter(judge.temperature.values())) == pytest.approx(3.0, rel=0.25)
