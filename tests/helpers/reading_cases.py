"""A made-up exam of three lesions, and a reading of it, for the tests of the reading room."""

from __future__ import annotations

from typing import Any

from demo.reading.edits import MarkSentence
from demo.reading.history import Look, Reading, advance, begin
from demo.reading.result import Result, result_of
from fedpsma.domain.exam import Exam

ROWS: tuple[dict[str, Any], ...] = (
    {"lesion_id": "L1", "region": "PROSTATE", "side": "R", "suvmax": 24.6, "suvmean": 12.8, "volume_ml": 12.3},
    {"lesion_id": "L2", "region": "LN_OBTURATOR", "side": "R", "suvmax": 15.1, "suvmean": 8.9, "volume_ml": 1.6},
    {"lesion_id": "L3", "region": "BONE_RIB", "side": "L", "suvmax": 18.4, "suvmean": 9.6, "volume_ml": 5.5},
)


def made_up_exam(**more: Any) -> Exam:
    """An exam with a prostate tumour, a node and a rib, all with a suspicious CT correlate."""
    lesions = [{**row, "ct_class": "suspicious", "model_prob": 0.95, "t_extent": None} for row in ROWS]
    given = {
        "tracer": "68Ga-PSMA-11",
        "indication": "primary staging",
        "clinical": {"prostate_status": "in_situ"},
        "reference_suv": {"blood_pool": 1.7, "liver": 5.2, "spleen": 7.9, "parotid": 14.8},
        "psma_vol_ml": 19.4,
        "lesions": lesions,
    }
    return Exam.model_validate({**given, **more})


def reading_after(*actions: Any, exam: Exam | None = None) -> Reading:
    """The reading of an exam after some actions."""
    reading = begin(exam or made_up_exam())
    for action in actions:
        reading = advance(reading, action)
    return reading


def looked_at_all(exam: Exam | None = None) -> tuple[Look, ...]:
    """The looks at every lesion."""
    return tuple(Look(lesion=one.lesion_id) for one in (exam or made_up_exam()).lesions)


def marked(result: Result, lesion: str, deed: str, text: str = "") -> MarkSentence:
    """What a reader does to the first sentence on a lesion."""
    shown = next(one for one in result.sentences if one.cites and one.cites[0] == lesion)
    return MarkSentence.model_validate(
        {"key": shown.key, "section": shown.section, "deed": deed, "drafted": shown.drafted, "text": text}
    )


def first_result(*actions: Any) -> Result:
    """What follows from a reading after some actions."""
    return result_of(reading_after(*actions))
