"""Small exams for the tests of the stager."""

from __future__ import annotations

from typing import Any

from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from fedpsma.staging import StagingOptions, assess

GA68 = {"blood_pool": 1.6, "liver": 4.5, "spleen": 7.0, "parotid": 15.1}
PSMA_1007 = {"blood_pool": 2.3, "liver": 11.8, "spleen": 9.1, "parotid": 19.6}
SCLEROTIC = "sclerotic"
ENLARGED = "enlarged node"


def lesion(
    lesion_id: str, region: str, side: str | None = None, suvmax: float | None = 20.0, **more: Any
) -> dict[str, Any]:
    """A lesion with intense uptake unless said otherwise."""
    mean = None if suvmax is None else round(suvmax * 0.7, 2)
    row = {"lesion_id": lesion_id, "region": region, "side": side, "suvmax": suvmax, "suvmean": mean, "size_mm": 14}
    return row | more


def exam(*lesions: dict[str, Any], **more: Any) -> Exam:
    """An exam on 68Ga-PSMA-11 with all context that the rules ask for; ``more`` replaces whole fields."""
    tracer = more.get("tracer", "68Ga-PSMA-11")
    record: dict[str, Any] = {
        "tracer": tracer,
        "indication": "restaging",
        "clinical": {"psa_ng_ml": 6.0, "gleason": "4+3=7", "prior_therapy": [], "prostate_status": "in_situ"},
        "technique": {"activity_mbq": 150, "uptake_min": 60, "furosemide": True, "ct": "low dose"},
        "reference_suv": PSMA_1007 if tracer == "18F-PSMA-1007" else GA68,
        "lesions": list(lesions),
    }
    return Exam.model_validate(record | more)


def prior(*lesions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A prior PSMA PET/CT with a lesion table."""
    record = {"date": "2024-06-01", "modality": "PSMA PET/CT", "tracer": "68Ga-PSMA-11", "lesions": list(lesions)}
    return record | more


def was(
    lesion_id: str, region: str, side: str | None = None, suvmax: float | None = 20.0, **more: Any
) -> dict[str, Any]:
    """A row of the prior's table."""
    return {"lesion_id": lesion_id, "region": region, "side": side, "suvmax": suvmax} | more


def clinical(**more: Any) -> dict[str, Any]:
    """The clinical part of an exam."""
    record = {"psa_ng_ml": 6.0, "gleason": "4+3=7", "prior_therapy": [], "prostate_status": "in_situ"}
    return record | more


def stage_of(*lesions: dict[str, Any], options: StagingOptions | None = None, **more: Any) -> str | None:
    """The canonical string."""
    return assess(exam(*lesions, **more), options or StagingOptions()).mitnm_string


def codes(assessment: Assessment) -> set[str]:
    """The flag codes."""
    return {flag.code for flag in assessment.flags}


def flagged(assessment: Assessment, code: str) -> list[str]:
    """The lesions of all flags with this code."""
    return [lesion for flag in assessment.flags if flag.code == code for lesion in flag.lesions]
