"""A tracer for which the PSMA frameworks do not hold: the draft denies nothing that nobody assessed."""

from __future__ import annotations

from fedpsma.domain.exam import Exam
from fedpsma.staging import assess
from reporting.drafting import draft_report
from reporting.exporters.report import Report
from reporting.exporters.text import as_text
from reporting.verifier.verify import Line, Verifier

FDG = Exam.model_validate(
    {
        "tracer": "18F-FDG",
        "lesions": [
            {
                "lesion_id": "L1",
                "region": "BONE_FEMUR",
                "side": "L",
                "suvmax": 7.9,
                "label": "malignant",
                "model_prob": 0.8,
            },
            {
                "lesion_id": "L2",
                "region": "LIVER",
                "side": "R",
                "suvmax": 4.1,
                "label": "indeterminate",
                "model_prob": 0.4,
            },
        ],
    }
)


def test_the_draft_describes_the_table_and_denies_nothing() -> None:
    draft = draft_report(FDG, assess(FDG))
    text = as_text(Report(FDG, draft))
    assert "do not apply to 18F-FDG" in text
    assert "L1" in text
    assert "L2" in text
    assert "PSMA-PET" not in text
    assert "no uptake" not in text.lower()
    assert not any(
        cite.startswith("negative:") for part in draft.sections for one in part.sentences for cite in one.cites
    )
    assert draft.verification.passed


def test_the_verifier_refuses_a_denial_of_what_was_not_assessed() -> None:
    draft = draft_report(FDG, assess(FDG))
    lines = [Line(part.name, one.text, tuple(one.cites)) for part in draft.sections for one in part.sentences]
    denial = Line("bone", "No uptake suspicious for metastasis in the bones of the imaged volume.", ("negative:bone",))
    checks = Verifier(FDG, draft.assessment).verify([*lines, denial]).checks
    assert not next(check for check in checks if check.name == "statements").passed
