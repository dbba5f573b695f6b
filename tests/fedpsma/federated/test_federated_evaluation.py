"""Figures from sums against the same figures from all patients pooled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_up_scores import made_up_studies

from fedpsma.errors import InputError
from fedpsma.evaluation.bootstrap import draw_weights, figure_of
from fedpsma.evaluation.figures import measure
from fedpsma.evaluation.ratios import ratio_figures
from fedpsma.evaluation.sample import Sample
from fedpsma.federated.evaluation import (
    FederatedFigures,
    SiteEvaluation,
    federated_figures,
    interval,
    site_evaluation,
    with_ranking,
)
from fedpsma.federated.ranking import influence_of, pooled_ranking, ranking_figures, ranking_of


def _sample(patients: int, seed: int, site: str = "", skill: float = 1.5) -> Sample:
    studies = made_up_studies(patients, seed, skill=skill)
    return Sample.of(one.model_copy(update={"dataset": f"{one.dataset}{site}"}) for one in studies)


def _told(sample: Sample, site: str) -> SiteEvaluation:
    return site_evaluation(sample, site=site, contour="pct45", model_sha256="m", synthetic=True)


SAMPLES = [_sample(30, 1, "A"), _sample(50, 2, "B"), _sample(20, 3, "C", skill=0.8)]
POOLED = Sample.of(study for sample in SAMPLES for study in sample.studies)


@pytest.fixture(scope="module")
def found() -> FederatedFigures:
    return federated_figures([_told(sample, name) for sample, name in zip(SAMPLES, "ABC", strict=True)])


def test_ratio_figures_are_exactly_those_of_all_patients_pooled(found: FederatedFigures) -> None:
    pooled = measure(POOLED, np.ones((1, POOLED.patients)))
    assert len(found.together) > 40
    for name, figure in found.together.items():
        if found.withheld[name] == 0 and figure.value is not None:
            assert figure.value == pytest.approx(float(pooled[name][0]), rel=1e-12), name


def test_intervals_are_near_those_of_a_bootstrap_over_patients(found: FederatedFigures) -> None:
    drawn = measure(POOLED, draw_weights(POOLED.patients, np.random.default_rng(0)))
    for name in ("dice", "sensitivity_positive", "precision_positive", "false_positives_positive", "brier", "n_exact"):
        mine, theirs = found.together[name], figure_of(drawn[name])
        assert None not in (mine.low, mine.high, theirs.low, theirs.high)
        width = theirs.high - theirs.low  # type: ignore[operator]
        assert abs(mine.low - theirs.low) < 0.2 * width  # type: ignore[operator]
        assert abs(mine.high - theirs.high) < 0.2 * width  # type: ignore[operator]


def test_the_linearised_variance_is_that_of_the_residuals() -> None:
    """Patients are drawn within their site, so that residuals are taken around the mean of the site."""
    told = [_told(sample, name) for sample, name in zip(SAMPLES, "ABC", strict=True)]
    figures = [ratio_figures(sample)["sensitivity_positive"].by_patient(sample.patients) for sample in SAMPLES]
    above, below = (sum(one[at].sum() for one in figures) for at in (0, 1))
    value, variance, patients = above / below, 0.0, 0
    for part, whole in figures:
        residuals = (part - value * whole)[whole > 0]
        variance += residuals.size * np.var(residuals, ddof=1)
        patients += residuals.size
    expected = interval(value, math.sqrt(variance) / below, patients, share=True)
    assert federated_figures(told).together["sensitivity_positive"].low == pytest.approx(expected.low)


def test_figures_of_few_patients_are_withheld() -> None:
    told = _told(_sample(4, 5), "small")
    assert told.sums == {}
    assert told.ranking is None
    assert told.patients is None
    both = federated_figures([told, _told(SAMPLES[0], "A")])
    assert both.withheld["dice"] == 1
    assert "made up" not in told.model_dump_json()


def test_different_models_are_not_mixed() -> None:
    one = _told(SAMPLES[0], "A")
    with pytest.raises(InputError, match="2 models"):
        federated_figures([one, one.model_copy(update={"model_sha256": "other"})])


@pytest.mark.parametrize(("value", "low", "high"), [(0.0, 0.0, 1 - 0.025 ** (1 / 20)), (1.0, 0.025 ** (1 / 20), 1.0)])
def test_shares_without_spread_have_an_interval_all_the_same(value: float, low: float, high: float) -> None:
    found = interval(value, 0.0, 20, share=True)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_rankings_come_near_those_of_all_patients_pooled() -> None:
    pooled = pooled_ranking([one for one in map(ranking_of, SAMPLES) if one is not None])
    assert pooled.table.sum() == pytest.approx(
        sum(len(s.detections("overlap").scores) for s in POOLED.studies)
        + sum(np.isfinite(s.detections("overlap").found_at).sum() for s in POOLED.studies)
    )
    exact = measure(POOLED, np.ones((1, POOLED.patients)))
    for name, value in pooled.figures().items():
        assert value == pytest.approx(float(exact[name][0]), abs=0.015), name


def test_average_precision_of_all_sites_has_an_interval_once_all_have_answered(found: FederatedFigures) -> None:
    told = [_told(sample, name) for sample, name in zip(SAMPLES, "ABC", strict=True)]
    pooled = pooled_ranking([one.ranking for one in told if one.ranking is not None])
    answers = [one for one in (influence_of(sample, pooled) for sample in SAMPLES) if one is not None]
    whole = with_ranking(found, told, answers).together["average_precision"]
    theirs = figure_of(measure(POOLED, draw_weights(POOLED.patients, np.random.default_rng(0)))["average_precision"])
    assert whole.low == pytest.approx(theirs.low, abs=0.03)
    assert whole.high == pytest.approx(theirs.high, abs=0.03)
    assert with_ranking(found, told, answers[:2]).together["average_precision"].low is None


def test_influences_give_the_spread_of_a_bootstrap() -> None:
    pooled = pooled_ranking([one for one in map(ranking_of, SAMPLES) if one is not None])
    told = [one for one in (influence_of(sample, pooled) for sample in SAMPLES) if one is not None]
    assert sum(one.patients for one in told) == POOLED.patients
    drawn = measure(POOLED, draw_weights(POOLED.patients, np.random.default_rng(0), 1000))
    for name in ranking_figures():
        mine = math.sqrt(sum(one.variance(name) for one in told))
        assert mine == pytest.approx(float(np.std(drawn[name][1:])), rel=0.3), name
