"""What is not known of a focus stays unknown when it is judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedpsma.lesions.candidates import find_candidates
from fedpsma.lesions.facts import FAR_MM, facts_of
from fedpsma.lesions.judge import Curve, Judge, judge_focus
from fedpsma.lesions.locate import place
from fedpsma.lesions.reasons import reasons
from fedpsma.lesions.references import measure_references


def facts(patient):
    study, prediction = patient.study, patient.prediction
    (found,) = find_candidates(study, prediction)
    where = place(found.focus, study, prediction)
    return facts_of(found.focus, where, study, prediction, measure_references(study, prediction))


@pytest.fixture
def node(ball, make_patient):
    return make_patient([ball((40, 0, 0), 8, 9.0, anatomy="obturator", hu=50.0)], with_ct=True)


def test_what_was_measured_is_told(node):
    found = facts(node)
    assert found.hu == pytest.approx(50.0, abs=10.0)
    # Half a voxel of the edge spills into the shell.
    assert 5.0 < found.to_shell <= 9.0 / 0.5


def test_a_ball_is_as_long_as_wide_and_a_tube_is_not(ball, make_patient, node):
    assert facts(node).elongation == pytest.approx(1.0, abs=0.05)
    tube = make_patient([ball((40, 0, z), 5, 9.0, anatomy="obturator") for z in range(-24, 25, 4)])
    assert 4.0 < facts(tube).elongation < 8.0


def test_attenuation_is_unknown_where_the_ct_did_not_reach(node):
    outside = replace(node.study, ct=np.full_like(node.study.ct, -1024.0))
    assert facts(replace(node, study=outside)).hu is None
    assert facts(replace(node, study=replace(node.study, ct=None))).hu is None


def test_contrast_is_unknown_where_nothing_around_takes_up_the_tracer(node):
    alone = replace(node.study, pet=np.where(node.study.pet > 2.0, node.study.pet, 0.0).astype(np.float32))
    assert facts(replace(node, study=alone)).to_shell is None


def test_unknown_facts_and_far_organs_are_worded_as_such(node):
    found = replace(facts(node), to_shell=None, hu=None)
    assert found.distance_mm == FAR_MM
    flat = Curve(knots=(0.0, 1.0), values=(1.0, 1.0))
    judge = Judge(
        terms={"to_shell": flat, "hu": flat, "distance_mm": flat}, missing={"to_shell": -0.5, "hu": 0.7}, families={},
        tracers={}, intercept=0.0, temperature={}, indeterminate_from=0.1, malignant_from=0.9, error_level=0.05,
        fitted_on="made up",
    )  # fmt: skip
    told = {one.fact: one for one in reasons(judge_focus(judge, found))}
    assert told["to_shell"].text == "no tissue to compare with around"
    assert (told["hu"].text, told["hu"].log_odds) == ("no CT here", 0.7)
    assert told["distance_mm"].text == "no organ with normal uptake within 40 mm"
