"""Statements of a foreign report find their lesions, or are named."""

import pytest

from fedpsma.domain.exam import Exam
from fedpsma.staging import assess
from reporting.verifier.document import read_document
from reporting.verifier.verify import Verifier


def _lesion(name, region, side, suvmax, size, ct=None):
    return {
        "lesion_id": name,
        "region": region,
        "side": side,
        "suvmax": suvmax,
        "size_mm": size,
        "ct_correlate": ct,
        "model_prob": 0.9,
    }


EXAM = Exam.model_validate(
    {
        "tracer": "68Ga-PSMA-11",
        "clinical": {"prostate_status": "removed"},
        "reference_suv": {"blood_pool": 1.5, "liver": 5.0, "parotid": 16.0},
        "lesions": [
            _lesion("L1", "BONE_RIB", "L", 8.1, 9, "6th rib, sclerotic"),
            _lesion("L2", "BONE_RIB", "R", 6.2, 7, "8th rib, sclerotic"),
            _lesion("L3", "LN_OBTURATOR", "L", 12.0, 11, "enlarged"),
        ],
    }
)


def _checks(text):
    exam = EXAM
    found = Verifier(exam, assess(exam)).check(read_document(f"Findings:\n{text}", exam, where="text"))
    return {one.check for one in found if one.line is not None}


@pytest.mark.parametrize(
    ("text", "checks"),
    [
        ("Left 6th rib, SUVmax 8.1.", set()),
        ("Right rib with SUVmax 6.2, 7 mm.", set()),
        ("Left 6th rib, SUVmax 6.2.", {"numbers"}),
        ("Right 6th rib, SUVmax 8.1.", {"regions"}),
        ("Right obturator node, SUVmax 12.0.", {"sides"}),
        ("Left obturator node. It measures 11 mm.", set()),
        ("Left obturator node. It measures 12 mm.", {"numbers"}),
        ("Two metastases in the ribs.", set()),
        ("Three metastases in the ribs.", {"numbers"}),
        ("No liver metastases.", set()),
        ("No rib metastases.", {"contradictions"}),
        ("No evidence of disease.", {"contradictions"}),
        ("Brain metastasis, SUVmax 3.0.", {"lesion_ids"}),
        ("Brain metastasis, SUVmax 12.0.", {"regions"}),
        ("Lungs and liver normal.", set()),
        ("Left obturator node slightly peculiar.", {"not_understood"}),
    ],
)
def test_statements(text, checks):
    assert _checks(text) == checks


def test_the_numbers_of_a_list_are_no_values():
    read = read_document("Impression:\n1. No metastasis.\n2) SUVmax 8.1.", Exam(), where="text")
    assert [line.text for line in read.lines] == ["No metastasis.", "SUVmax 8.1."]
