"""The exam contract: unknown stays unknown, a typo is seen."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fedpsma.domain.exam import Exam, unknown_fields
from fedpsma.domain.region import Region


def test_empty_exam_knows_nothing() -> None:
    exam = Exam()
    assert exam.tracer is None
    assert exam.psma_vol_ml is None
    assert set(exam.reference_suv.model_dump().values()) == {None}
    assert set(exam.technique.model_dump().values()) == {None}


def test_lesion_is_found_by_its_id() -> None:
    exam = Exam.model_validate({"lesions": [{"lesion_id": "L1", "region": "LIVER"}]})
    assert exam.lesion("L1").region is Region.LIVER
    with pytest.raises(KeyError):
        exam.lesion("L2")


def test_typos_are_named_wherever_they_stand() -> None:
    content = {
        "tracers": 1,
        "clinical": {"psa": 2},
        "lesions": [{"lesion_id": "L1", "region": "LIVER"}, {"lesion_id": "L2", "region": "LUNG", "suv_max": 3}],
        "prior": {"lesions": [{"lesion_id": "P1", "region": "LUNG", "volume": 3}]},
    }
    assert set(unknown_fields(Exam.model_validate(content))) == {
        "tracers",
        "clinical.psa",
        "lesions[1].suv_max",
        "prior.lesions[0].volume",
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_quantities_are_finite(value: float) -> None:
    with pytest.raises(ValidationError):
        Exam(psma_vol_ml=value)


def test_an_impossible_value_is_kept_for_the_rules_to_flag() -> None:
    assert Exam(psma_vol_ml=-0.1).psma_vol_ml == -0.1


def test_zero_is_a_value_and_not_unknown() -> None:
    assert Exam(psma_vol_ml=0).psma_vol_ml == 0


def test_exam_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Exam().tracer = None
