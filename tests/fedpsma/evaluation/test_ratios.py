"""Figures that are ratios of sums."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_scores import made_up_studies
from sklearn.metrics import brier_score_loss

from fedpsma.evaluation.figures import measure
from fedpsma.evaluation.ratios import Ratio, ratio_figures
from fedpsma.evaluation.sample import Sample

SAMPLE = Sample.of(made_up_studies(25, 3))


def test_brier_is_that_of_scikit_learn() -> None:
    truth = [one.is_lesion for one in SAMPLE.foci]
    expected = brier_score_loss(truth, [one.probability for one in SAMPLE.foci])
    assert measure(SAMPLE, np.ones((1, 25)))["brier"][0] == pytest.approx(expected)


def test_sums_of_patients_give_the_figure_for_any_draw() -> None:
    weights = np.random.default_rng(0).integers(0, 4, (6, SAMPLE.patients)).astype(float)
    for name, figure in ratio_figures(SAMPLE).items():
        above, below = figure.by_patient(SAMPLE.patients)
        with np.errstate(invalid="ignore", divide="ignore"):
            np.testing.assert_allclose(figure.values(weights), (weights @ above) / (weights @ below), err_msg=name)


def test_unknown_records_are_left_out() -> None:
    figure = Ratio.of(np.array([0, 0, 1]), [1.0, float("nan"), 0.0])
    assert figure.values(np.ones((1, 2))).tolist() == [0.5]
