from __future__ import annotations

import numpy as np
import pytest

from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.lesions.facts import Facts
from fedpsma.lesions.judge import judge_focus
from fedpsma.training.calibration import KnownFocus, conformal_bounds, fit_judge


def _foci(seed: int, patients: int = 60, per_patient: int = 20, slope: float = 1.5) -> list[KnownFocus]:
    """Foci whose true log-odds are known: ``slope`` times the network's, two less in ribs with PSMA-1007."""
    rng = np.random.default_rng(seed)
    found = []
    for patient in range(patients):
        tracer = (Tracer.PSMA_11, Tracer.PSMA_1007)[patient % 2]
        for _ in range(per_patient):
            region = (Region.BONE_RIB, Region.LN_OBTURATOR)[int(rng.integers(2))]
            network = float(rng.normal(0, 1.5))
            score = slope * network - 2.0 * (tracer is Tracer.PSMA_1007 and region is Region.BONE_RIB)
            facts = Facts(
                tracer=tracer,
                region=region,
                network=network,
                network_peak=network + 1,
                physiological=float(rng.normal()),
                suvmax=float(rng.lognormal(1.5, 0.7)),
                to_shell=3.0,
                core_ml=float(rng.lognormal(0, 0.5)),
                elongation=float(rng.uniform(1, 3)),
                distance_mm=float(rng.uniform(0, 40)),
                hu=float(rng.normal(200, 80)) if patient % 3 else None,
            )
            found.append(KnownFocus(facts, bool(rng.uniform() < 1 / (1 + np.exp(-score))), f"p{patient}"))
    return found


@pytest.fixture(scope="module")
def fitted() -> tuple:
    judge = fit_judge(_foci(1), fitted_on="made up", model_sha256="x", error_level=0.1)
    new = _foci(2, patients=200)
    judged = [judge_focus(judge, one.facts) for one in new]
    return judge, judged, np.array([one.malignant for one in new])


def test_probabilities_keep_their_word_on_new_patients(fitted: tuple) -> None:
    _, judged, truth = fitted
    probability = np.array([one.probability for one in judged])
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0)):
        inside = (probability >= low) & (probability < high)
        assert truth[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.06)


def test_conformal_sets_keep_their_error_level_for_either_class(fitted: tuple) -> None:
    judge, judged, truth = fitted
    said = np.array([one.verdict for one in judged])
    assert (said[truth] == "physiological").mean() <= judge.error_level + 0.03
    assert (said[~truth] == "malignant").mean() <= judge.error_level + 0.03
    assert 0.1 < (said == "indeterminate").mean() < 0.7


def test_the_judge_learns_that_a_tracer_lights_up_ribs(fitted: tuple) -> None:
    judge, _, _ = fitted

    def total(tracer: Tracer, family: str) -> float:
        return judge.families[family] + judge.tracers[f"{tracer}/{family}"]

    harmless = total(Tracer.PSMA_1007, "rib") - total(Tracer.PSMA_1007, "pelvic_node")
    serious = total(Tracer.PSMA_11, "rib") - total(Tracer.PSMA_11, "pelvic_node")
    assert harmless < serious - 1.0


def test_an_overconfident_network_gets_a_term_that_takes_it_back() -> None:
    judge = fit_judge(_foci(3, slope=0.4), fitted_on="made up", model_sha256="x")
    curve = judge.terms["network"]
    width = curve.knots[-1] - curve.knots[0]
    both = curve.values[-1] - curve.values[0] + judge.terms["network_peak"].values[-1]
    both -= judge.terms["network_peak"].values[0]
    assert both / width == pytest.approx(0.4, abs=0.12)


def test_the_fit_depends_on_nothing_but_its_input() -> None:
    assert fit_judge(_foci(1), fitted_on="a", model_sha256="x") == fit_judge(_foci(1), fitted_on="a", model_sha256="x")


def test_bounds_are_the_finite_sample_quantiles() -> None:
    truth = np.repeat([True, False], 19)
    probability = np.concatenate([np.linspace(0.05, 0.95, 19), np.linspace(0.05, 0.95, 19)])
    # with 19 of a class and a level of 0.1 the rank is ceil(20 * 0.9) = 18
    low, high = conformal_bounds(probability, truth, 0.1)
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(0.9)
    assert conformal_bounds(probability, truth, 0.01) == (0.0, 1.0)


def test_classes_that_lie_apart_leave_no_gap() -> None:
    truth = np.repeat([True, False], 50)
    low, high = conformal_bounds(np.where(truth, 0.9, 0.1), truth, 0.05)
    assert low == pytest.approx(0.5)
    assert high == pytest.approx(0.5)


def test_too_few_lesions_are_refused() -> None:
    few = [one for one in _foci(1, patients=8) if not one.malignant]
    with pytest.raises(InputError, match="0 lesions"):
        fit_judge(few, fitted_on="a", model_sha256="x")
