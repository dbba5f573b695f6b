from __future__ import annotations

import dataclasses

import pytest

from fedpsma.domain.study import VoxelPrediction
from fedpsma.errors import InputError
from fedpsma.evaluation.compare import Case, ComparisonOptions, compare, evaluate_model

OPTIONS = ComparisonOptions(replicates=50)


@pytest.fixture
def cases(ball, make_patient):
    """Three patients, six lesions, drawn so that the 50 % contour is the truth; the last patient is healthy."""
    sick = [
        [ball((-50, 0, 0), 12, 10.0, lesion=1), ball((50, 0, 0), 12, 8.0, lesion=2)],
        [ball((x, 0, 0), 12, 9.0, lesion=number) for number, x in enumerate((-70, -20, 30, 80), start=1)],
        [],
    ]
    made = []
    for number, balls in enumerate(sick):
        patient = make_patient(balls, spacing_mm=(3, 3, 3))
        study = dataclasses.replace(patient.study, study_id=f"s{number}", patient_id=f"p{number}")
        made.append(Case(study, patient.prediction, contour="pct50"))
    return made


def blind(case):
    nothing = VoxelPrediction(case.prediction.suspicious * 0, case.prediction.physiological, case.prediction.anatomy)
    return dataclasses.replace(case, prediction=nothing)


def test_a_perfect_model_beside_a_blind_one(cases):
    seen = []
    perfect = evaluate_model("perfect", cases, epsilon=8.0, on_study=seen.append)
    nothing = evaluate_model("blind", [blind(case) for case in cases])
    table = compare([perfect, nothing], synthetic=True, options=OPTIONS)
    assert seen == ["s0", "s1", "s2"]
    assert (table.patients, table.scans, table.lesions) == (3, 3, 6)
    best, worst = table.rows
    assert best.sensitivity["0.5"].value == 1.0
    assert best.average_precision.value == 1.0
    assert best.dice.value == pytest.approx(1.0, abs=0.08)
    assert (best.false_positive_ml.value, best.false_negative_ml.value) == (0.0, 0.0)
    assert worst.sensitivity["4"].value == 0.0
    assert worst.dice.value == 0.0
    assert worst.false_negative_ml.value > 10.0
    text = table.markdown()
    assert "synthetic patients: 3" in text
    assert "| perfect |" in text
    assert "no guarantee" in text


def test_a_focus_at_a_physiological_site_is_no_detection(ball, make_patient):
    patient = make_patient([ball((0, 0, 0), 12, 30.0, anatomy="bladder")])
    case = Case(dataclasses.replace(patient.study, lesions=patient.study.lesions * 0), patient.prediction)
    scored = evaluate_model("one", [case]).cases[0]
    assert scored.false_positive_ml == 0.0
    assert scored.detections("overlap").scores.size == 0


def test_a_study_without_a_mask_is_refused_by_name(cases):
    without = dataclasses.replace(cases[0], study=dataclasses.replace(cases[0].study, lesions=None))
    with pytest.raises(InputError, match="study s0: has no lesion mask"):
        evaluate_model("one", [without])


def test_only_the_same_studies_are_compared(cases):
    whole = evaluate_model("whole", cases)
    part = evaluate_model("part", cases[:1])
    with pytest.raises(ValueError, match="same studies"):
        compare([whole, part], synthetic=False)
    with pytest.raises(ValueError, match="same studies"):
        compare([], synthetic=False)


def test_the_table_survives_json(cases):
    table = compare([evaluate_model("one", cases)], synthetic=True, options=OPTIONS)
    assert type(table).model_validate_json(table.model_dump_json()) == table
