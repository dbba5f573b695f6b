from __future__ import annotations

import re

import numpy as np
import pytest

from fedpsma.phantom.clinical import (
    Burden,
    Context,
    draw_clinical,
    draw_context,
    draw_later_clinical,
    draw_retest_clinical,
)
from fedpsma.text.clinical_context import read_clinical_context, read_isup

SCENARIOS = ("staging", "recurrence", "castration_resistant")


def drawn(scenario, burden, count=300, seed=1):
    rng = np.random.default_rng(seed)
    return [draw_clinical(rng, draw_context(rng, scenario), burden) for _ in range(count)]


def doubling(clinical):
    found = re.search(r"doubling time ([\d.]+) months", clinical.psa_history)
    return float(found.group(1)) if found else np.inf


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_psa_rises_with_the_tumour(scenario):
    volumes = (0.5, 3.0, 15.0, 80.0, 400.0)
    medians = [np.median([one.psa_ng_ml for one in drawn(scenario, Burden(volume, 2))]) for volume in volumes]
    assert medians == sorted(medians)
    assert medians[-1] > 5 * medians[0]


def test_psa_is_low_where_little_came_back_after_surgery():
    rng = np.random.default_rng(2)
    context = Context("recurrence", "biochemical recurrence", "removed")
    values = [draw_clinical(rng, context, Burden(0.5, 0)).psa_ng_ml for _ in range(300)]
    assert 0.2 < np.median(values) < 1.0
    irradiated = Context("recurrence", "biochemical recurrence", "irradiated")
    after = [draw_clinical(rng, irradiated, Burden(0.5, 0)).psa_ng_ml for _ in range(300)]
    assert np.median(after) > 2.0


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_grade_rises_and_doubling_time_falls_with_the_spread(scenario):
    by_steps = [drawn(scenario, Burden(10.0, steps), count=600) for steps in (0, 1, 2)]
    grades = [np.mean([read_isup(one.gleason) for one in group]) for group in by_steps]
    times = [np.median([doubling(one) for one in group]) for group in by_steps]
    assert grades == sorted(grades)
    assert grades[2] - grades[0] > 0.3
    assert times == sorted(times, reverse=True)


def test_therapies_fit_the_scenario():
    for one in drawn("castration_resistant", Burden(50.0, 2)):
        assert "ADT" in one.current_therapy
        assert {"hormonal"} <= read_clinical_context(one).kinds()
    for one in drawn("recurrence", Burden(2.0, 0)):
        kinds = read_clinical_context(one).kinds()
        assert ("prostatectomy" in kinds) == (one.prostate_status == "removed")
        assert one.prostate_status != "irradiated" or "radiotherapy" in kinds
        assert one.current_therapy == []
    assert all(one.prior_therapy == [] for one in drawn("staging", Burden(2.0, 0)))


def test_doubling_times_are_those_of_the_values():
    for one in drawn("recurrence", Burden(3.0, 1)):
        told = re.match(r"([\d.]+) ng/ml (\d+) months ago, now ([\d.]+) ng/ml, doubling time ([\d.]+)", one.psa_history)
        if told:
            earlier, months, now, time = (float(value) for value in told.groups())
            assert now == one.psa_ng_ml
            assert time == pytest.approx(months * np.log(2) / np.log(now / earlier), abs=0.06)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_psa_follows_the_disease_to_the_next_scan(scenario):
    rng = np.random.default_rng(3)
    context = draw_context(rng, scenario)
    before = Burden(20.0, 2)
    first = draw_clinical(rng, context, before)
    ratios = []
    for volume in (0.0, 5.0, 20.0, 60.0):
        later = [draw_later_clinical(rng, first, context, (before, Burden(volume, 2)), days=120) for _ in range(100)]
        ratios.append(np.median([one.psa_ng_ml for one in later]) / first.psa_ng_ml)
        for one in later:
            assert set(one.current_therapy) != set(first.current_therapy)
            assert not set(one.current_therapy) & set(one.prior_therapy)
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.8
    assert ratios[2] == pytest.approx(1.0, abs=0.15)
    assert ratios[3] > 1.2


def test_a_retest_leaves_the_clinical_fields():
    rng = np.random.default_rng(4)
    context = draw_context(rng, "recurrence")
    first = draw_clinical(rng, context, Burden(3.0, 1))
    again = draw_retest_clinical(rng, first)
    assert again.psa_ng_ml == pytest.approx(first.psa_ng_ml, rel=0.3)
    assert again.model_copy(update={"psa_ng_ml": first.psa_ng_ml}) == first


def test_the_clinical_text_names_nobody(patients):
    for site in "ABC":
        for patient in patients[site]:
            flags = {flag.code for flag in patient.assessment.assessment.flags}
            assert not flags & {"phi_detected", "untrusted_instruction"}
            assert patient.truth.exam.clinical.prostate_status in ("in_situ", "removed", "irradiated")
