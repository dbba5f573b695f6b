"""Temperature and conformal bounds from histograms against the fit on all scores pooled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.federated.calibration import fit_across_sites, log_odds_before_temperature, site_scores
from fedpsma.federated.disclosure import LEAST_PATIENTS
from fedpsma.federated.scores import BINS, WIDTH, Scored, runs_of, spread
from fedpsma.lesions.facts import Facts
from fedpsma.lesions.judge import Curve, Judge
from fedpsma.training.calibration import KnownFocus, best_temperature, conformal_bounds

JUDGE = Judge(
    terms={"network": Curve(knots=(-9.0, 9.0), values=(-9.0, 9.0))},
    missing={},
    families={},
    tracers={},
    intercept=0.0,
    temperature={Tracer.PSMA_11: 1.3, Tracer.PSMA_1007: 0.8},
    indeterminate_from=0.4,
    malignant_from=0.6,
    error_level=0.1,
    fitted_on="made-up foci",
    model_sha256="m",
)
TRUE = {Tracer.PSMA_11: 2.0, Tracer.PSMA_1007: 0.7}


def _focus(score: float, malignant: bool, patient: str, tracer: Tracer) -> KnownFocus:
    facts = Facts(tracer, Region.OTHER_SOFT_TISSUE, score, score, 0.0, 5.0, 2.0, 1.0, 20.0)
    return KnownFocus(facts, malignant, patient)


def _foci(site: str, patients: int, seed: int) -> list[KnownFocus]:
    """Scores whose log-odds are right once divided by the true temperature of the tracer."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(patients):
        tracer = list(TRUE)[number % 2]
        for _ in range(10):
            logit = rng.normal(-0.5, 1.5)
            malignant = bool(rng.random() < 1 / (1 + math.exp(-logit)))
            found.append(_focus(logit * TRUE[tracer], malignant, f"{site}{number}", tracer))
    return found


SITES = {"A": _foci("A", 200, 1), "B": _foci("B", 120, 2), "C": _foci("C", 300, 3)}
POOLED = [focus for foci in SITES.values() for focus in foci]


def _pooled(tracer: Tracer) -> tuple[np.ndarray, np.ndarray]:
    chosen = [one for one in POOLED if one.facts.tracer == tracer]
    scores = np.array([log_odds_before_temperature(JUDGE, one) for one in chosen])
    return scores, np.array([one.malignant for one in chosen])


def test_the_sum_of_terms_is_found_again() -> None:
    focus = _focus(2.5, True, "p", Tracer.PSMA_11)
    assert log_odds_before_temperature(JUDGE, focus) == pytest.approx(2.5)


def test_the_fit_across_sites_is_the_pooled_fit_within_a_bin() -> None:
    judge = fit_across_sites(JUDGE, [site_scores(name, JUDGE, foci) for name, foci in SITES.items()])
    scaled, truths = [], []
    for tracer, true in TRUE.items():
        scores, truth = _pooled(tracer)
        pooled = best_temperature(scores, truth)
        assert judge.temperature[tracer] == pytest.approx(pooled, rel=0.05)
        assert pooled == pytest.approx(true, rel=0.2)
        scaled.append(scores / judge.temperature[tracer])
        truths.append(truth)
    probability = 1 / (1 + np.exp(-np.concatenate(scaled)))
    truth = np.concatenate(truths)
    exact = conformal_bounds(probability, truth, JUDGE.error_level)
    widest = WIDTH / min(judge.temperature[tracer] for tracer in TRUE)
    for mine, theirs in zip((judge.indeterminate_from, judge.malignant_from), exact, strict=True):
        assert abs(_logit(mine) - _logit(theirs)) <= 1.5 * widest
    assert judge.indeterminate_from <= exact[0]
    assert judge.malignant_from >= exact[1]
    assert "A, B, C" in judge.fitted_on


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_bounds_keep_their_error_level_on_new_patients() -> None:
    judge = fit_across_sites(JUDGE, [site_scores(name, JUDGE, foci) for name, foci in SITES.items()])
    wrong = {True: [], False: []}
    for one in _foci("new", 2000, 9):
        probability = 1 / (1 + math.exp(-one.facts.network / judge.temperature[one.facts.tracer]))
        inside = probability >= judge.indeterminate_from if one.malignant else probability < judge.malignant_from
        wrong[one.malignant].append(not inside)
    assert all(np.mean(found) <= JUDGE.error_level + 0.02 for found in wrong.values())


def test_sites_of_other_weights_and_too_few_foci_are_refused() -> None:
    told = site_scores("A", JUDGE, SITES["A"])
    with pytest.raises(InputError, match="other weights"):
        fit_across_sites(JUDGE, [told.model_copy(update={"model_sha256": "x"})])
    with pytest.raises(InputError, match="lesions"):
        fit_across_sites(JUDGE, [site_scores("B", JUDGE, SITES["A"][:30])])


def test_a_tracer_of_few_patients_is_left_out() -> None:
    told = site_scores("A", JUDGE, [one for one in SITES["A"] if one.patient in {"A0", "A1", "A2", "A4", "A6"}])
    assert told.tracers == {}


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 6))
def test_no_run_tells_of_few_patients_and_none_is_lost(seed: int, patients: int, each: int) -> None:
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(patients), each)
    found = Scored(rng.normal(0, 4, owners.size), rng.integers(0, 2, owners.size), owners)
    runs = runs_of(found, 2)
    if patients < LEAST_PATIENTS:
        assert runs == ()
        return
    bins = found.bins()
    for run in runs:
        inside = (bins >= run.low) & (bins < run.high)
        assert len(set(owners[inside])) >= LEAST_PATIENTS
        assert run.counts == tuple(int((inside & (found.kinds == kind)).sum()) for kind in (0, 1))
    assert sum(sum(run.counts) for run in runs) == owners.size
    assert (runs[0].high, runs[-1].low) == (BINS, 0)
    table = spread([runs], 2)
    np.testing.assert_allclose(table.sum(axis=1), found.table(2).sum(axis=1), rtol=1e-9)


def test_what_one_site_joins_is_spread_as_the_others_lie() -> None:
    rng = np.random.default_rng(0)
    large = Scored(rng.normal(1, 0.5, 4000), np.zeros(4000, dtype=np.intp), np.arange(4000))
    small = Scored(rng.normal(1, 0.5, 8), np.zeros(8, dtype=np.intp), np.arange(8))
    table = spread([runs_of(large, 1), runs_of(small, 1)], 1)[0]
    alone = spread([runs_of(large, 1)], 1)[0]
    small_part = table - alone
    assert np.abs(small_part / 8 - alone / 4000).sum() / 2 < 0.01
