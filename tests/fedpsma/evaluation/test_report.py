from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from made_up_scores import made_up_studies

from fedpsma.evaluation.bootstrap import draw_weights
from fedpsma.evaluation.figures import figure_facts, measure
from fedpsma.evaluation.page import render_page
from fedpsma.evaluation.records import FocusScore
from fedpsma.evaluation.report import DatasetTold, Evaluation, Reading, ReportOptions, evaluate
from fedpsma.evaluation.sample import Sample

TOLD = (DatasetTold(name="made <up>", site="A", synthetic=True, contour="pct45", citation=None, licence=None),)
FEW = ReportOptions(replicates=60)


def report(*studies, options=FEW):
    names = ("base", "fine-tuned", "third")
    readings = [Reading(name, tuple(one)) for name, one in zip(names, studies, strict=False)]
    return evaluate(readings, TOLD, options)


def perfect(study):
    """What the same study would score if every lesion were found, named and outlined, and nothing else."""
    lesions = tuple(
        one.model_copy(
            update={
                "found_at": dict.fromkeys(one.found_at, 1.0),
                "label": "malignant",
                "region": one.true_region,
                "side": one.true_side,
                "found_ml": one.volume_ml,
            }
        )
        for one in study.lesions
    )
    template = next((focus for focus in study.foci if focus.is_lesion), None)
    foci = tuple(
        template.model_copy(
            update={"probability": 1.0, "label": "malignant", "region": one.region, "true_region": one.region}
        )
        for one in lesions
        if template is not None
    )
    return study.model_copy(
        update={
            "lesions": lesions if foci else (),
            "foci": foci,
            "dice": 1.0 if foci else None,
            "false_positive_ml": 0.0,
            "false_negative_ml": 0.0 if foci else None,
            "true_ml": study.true_ml if foci else 0.0,
            "found_ml": study.true_ml if foci else 0.0,
            "stage": study.stage.model_copy(update={"found": study.stage.true}),
        }
    )


def test_a_perfect_model_reaches_the_best_of_every_figure():
    figures = report([perfect(one) for one in made_up_studies(20)]).models[0].groups[0].figures
    best = {"higher": 1.0, "lower": 0.0, "zero": 0.0}
    facts = {one.name: one for one in figure_facts()}
    assert len(figures) > 70
    for name, figure in figures.items():
        assert figure.value == pytest.approx(best[facts[name].better], abs=1e-9), name
        assert figure.low == pytest.approx(figure.value, abs=1e-9) or figure.low is None, name


def test_a_lesion_called_physiological_is_an_error_though_no_table_lists_it():
    """Half of the lesions are missed in silence: what is listed is all right, and what is promised is not kept."""
    plain = {
        "label": None,
        "listed": True,
        "candidate": True,
        "hits": dict.fromkeys(("overlap", "suvmax", "iou"), True),
    }
    found = FocusScore(probability=0.9, **plain | {"label": "malignant"})
    missed = FocusScore(probability=0.05, **plain | {"label": "physiological", "listed": False})
    study = made_up_studies(1)[0].model_copy(update={"foci": (found, missed) * 5})
    figures = report([study]).models[0].groups[0].figures
    assert figures["coverage_lesions"].value == 0.5
    assert figures["error_decided"].value == 0.5
    assert figures["error_decided_listed"].value == 0.0
    assert figures["abstention"].value == 0.0
    assert figures["calibration_error"].value == pytest.approx(0.5 * 0.1 + 0.5 * 0.95)


def test_every_figure_has_a_row_of_facts_and_every_row_a_figure():
    sample = Sample.of(made_up_studies(20))
    found = measure(sample, draw_weights(sample.patients, np.random.default_rng(0), 3))
    assert set(found) == {one.name for one in figure_facts()}


def test_the_order_of_the_studies_does_not_matter():
    studies = made_up_studies(15)
    assert report(studies) == report(studies[::-1])


def test_the_patient_is_the_unit_of_every_interval():
    """The same scans counted four times each say no more; the intervals do not shrink."""
    once = made_up_studies(12)
    often = [one.model_copy(update={"study_id": f"{one.study_id}-{n}"}) for one in once for n in range(4)]
    few, many = report(once).models[0].groups[0], report(often).models[0].groups[0]
    assert (few.patients, many.patients, many.scans) == (12, 12, 48)
    for name in ("dice", "average_precision", "sensitivity_at_2", "n_any", "m_kappa", "brier", "abstention"):
        assert many.figures[name].value == pytest.approx(few.figures[name].value)
        assert many.figures[name].low == pytest.approx(few.figures[name].low)
        assert many.figures[name].high == pytest.approx(few.figures[name].high)


def test_a_model_beside_itself_differs_in_nothing_and_a_better_one_is_seen():
    studies, better = made_up_studies(40), [perfect(one) for one in made_up_studies(40)]
    same = report(studies, studies).differences
    assert {one.difference.value for one in same} == {0.0}
    assert {one.p for one in same} == {None}
    gained = {one.figure: one for one in report(studies, better).differences}
    assert gained["average_precision"].difference.low > 0
    assert gained["average_precision"].adjusted < 0.05
    assert gained["calibration_error"].difference.high < 0
    assert {one.adjusted for one in gained.values()} >= {min(1.0, one.p * len(gained)) for one in gained.values()}


def test_differences_are_drawn_in_pairs():
    """Two models that differ by a constant Dice differ by it in every draw, however wide either interval is."""
    studies = made_up_studies(20)
    shifted = [one.model_copy(update={"dice": one.dice and one.dice + 0.01}) for one in studies]
    dice = next(one for one in report(studies, shifted).differences if one.figure == "dice")
    assert (dice.difference.low, dice.difference.high) == pytest.approx((0.01, 0.01))


def test_groups_are_the_tracers_and_their_patients_add_up():
    groups = report(made_up_studies(20)).models[0].groups
    assert [one.kind for one in groups] == ["all", "tracer", "tracer"]
    assert groups[0].patients == groups[1].patients + groups[2].patients
    assert groups[0].lesions == groups[1].lesions + groups[2].lesions


def test_models_are_compared_on_the_same_studies_alone():
    with pytest.raises(ValueError, match="same studies"):
        report(made_up_studies(3), made_up_studies(4))
    with pytest.raises(ValueError, match="same studies"):
        report()


def test_what_the_data_do_not_know_is_missing_and_not_zero():
    bare = [
        one.model_copy(
            update={
                "stage": None,
                "benign": None,
                "lesions": tuple(row.model_copy(update={"true_region": None}) for row in one.lesions),
                "foci": tuple(row.model_copy(update={"true_region": None}) for row in one.foci),
            }
        )
        for one in made_up_studies(10)
    ]
    found = report(bare)
    model = found.models[0]
    assert (model.axes, model.stages, model.benign_per_scan) == (None, {}, None)
    assert not {"location_suspicious", "n_any", "false_positives_malignant_ureter"} & set(model.groups[0].figures)
    assert "not available" in render_page(found)


def test_the_report_survives_json_and_holds_no_nan():
    made = report(made_up_studies(10), made_up_studies(10, skill=2.0))
    text = made.model_dump_json()
    assert Evaluation.model_validate_json(text) == made
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the report"))
    assert all(math.isfinite(one.value) for one in made.models[0].groups[0].figures.values())


def test_the_page_is_whole_alone_and_escapes_what_the_data_say():
    page = render_page(report(made_up_studies(20), made_up_studies(20, skill=2.0)))
    assert "made &lt;up&gt;" in page
    assert "made <up>" not in page
    assert "Every patient is synthetic" in page
    assert "no clinician has reviewed" in page
    assert page.count("<svg") == 2 + 2 + 6
    assert not re.search(r"<script|<link|src=|@import|url\((?!#)", page)
    assert "$" not in page
    for target in set(re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", page)):
        assert page.count(f'id="{"".join(target)}"') == 1, "a mark of one plot must not be drawn in another"


def blind(study):
    """The same study through a model that suspects nothing."""
    unseen = {"found_at": dict.fromkeys(study.rules), "label": None, "region": None, "side": None, "found_ml": None}
    lesions = tuple(one.model_copy(update=unseen) for one in study.lesions)
    return study.model_copy(update={"foci": (), "lesions": lesions, "found_ml": 0.0, "false_positive_ml": 0.0})


@pytest.mark.parametrize("strip", [{}, {"lesions": (), "dice": None, "false_negative_ml": None, "true_ml": 0.0}])
def test_a_model_that_finds_nothing_and_patients_without_a_lesion_have_a_page(strip):
    found = report([blind(one).model_copy(update=strip) for one in made_up_studies(6)])
    figures = found.models[0].groups[0].figures
    if strip:
        assert "average_precision" not in figures
    else:
        assert (figures["average_precision"].value, figures["sensitivity_at_4"].value) == (0.0, 0.0)
    assert "calibration_error" not in figures
    assert "not available" in render_page(found)


def test_the_page_says_which_aims_were_missed_on_synthetic_data_alone():
    synthetic = report(made_up_studies(20))
    real = synthetic.model_copy(
        update={"synthetic": False, "datasets": (TOLD[0].model_copy(update={"synthetic": False}),)}
    )
    assert ">missed<" in render_page(synthetic)
    assert ">missed<" not in render_page(real)
    assert "Every patient is synthetic" not in render_page(real)
