"""A small study with lesions of known voxels, its exam and its draft: what exporters are given, made in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_writer import write_dicom_study

from fedpsma.domain.exam import Exam
from fedpsma.domain.study import Study
from fedpsma.staging import assess
from reporting.drafting import draft_report
from reporting.exporters.report import Images, Report

SHAPE, SPACING = (40, 32, 56), (5.0, 5.0, 4.0)
_HOT = (8.25, 17.3, 6.1, 22.75, 9.4)
_ROWS = (
    {"region": "LN_EXTERNAL_ILIAC", "side": "L", "label": "malignant", "ct_correlate": "9 mm short axis"},
    {
        "region": "BONE_RIB",
        "side": "R",
        "label": "indeterminate",
        "ct_correlate": "no sclerosis, lysis or fracture on CT",
    },
    {"region": "PROSTATE_BED", "side": "M", "label": "malignant"},
    {"region": "BONE_LSPINE", "side": "M", "label": "malignant", "ct_correlate": "sclerotic"},
    {"region": "LIVER", "side": "R", "label": "physiological"},
)
AFFINE = np.array([[SPACING[0], 0, 0, -97.5], [0, SPACING[1], 0, -77.5], [0, 0, SPACING[2], -400.0], [0, 0, 0, 1.0]])


def small_study() -> tuple[Study, np.ndarray]:
    """A study with CT and its lesion numbers; lesion n is a box of n + 1 voxels in x, off every middle line."""
    rng = np.random.default_rng(5)
    pet = rng.uniform(0.2, 1.5, SHAPE).astype(np.float32)
    labels = np.zeros(SHAPE, np.int32)
    for number, top in enumerate(_HOT, start=1):
        x, y, z = 4 + 6 * number, 5 + 3 * number, 8 * number
        labels[x : x + number + 1, y : y + 2, z : z + 3] = number
        pet[labels == number] = top * 0.6
        pet[x, y, z] = top
    ct = np.where(pet > 0.3, 40.0, -900.0).astype(np.float32)
    study = Study("study-0123", "patient-4567", pet, AFFINE, tracer="68Ga-PSMA-11", ct=ct, date="2026-01-05")
    return study, labels


def small_exam(study: Study, labels: np.ndarray, language: str = "en") -> Exam:
    """The exam of the small study; its numbers are measured on the voxels."""
    lesions = []
    for number, row in enumerate(_ROWS, start=1):
        inside = study.pet[labels == number]
        lesions.append(
            {
                "lesion_id": f"L{number}",
                "suvmax": round(float(inside.max()), 2),
                "suvmean": round(float(inside.mean()), 1),
                "suvpeak": round(float(inside.mean()), 1) if number != 3 else None,
                "volume_ml": round(inside.size * study.voxel_ml, 1),
                "size_mm": 4.0 + number,
                "model_prob": round(0.95 - number / 10, 2),
                **row,
            }
        )
    return Exam.model_validate(
        {
            "tracer": "68Ga-PSMA-11",
            "indication": "biochemical recurrence",
            "clinical": {"age": 68, "psa_ng_ml": 2.4, "prostate_status": "removed"},
            "technique": {"activity_mbq": 150.0, "uptake_min": 60.0},
            "reference_suv": {"blood_pool": 1.6, "liver": 5.2, "spleen": 8.0, "parotid": 15.5},
            "psma_vol_ml": 12.3,
            "lesions": lesions,
            "language": language,
        }
    )


def small_report(folder: Path | None = None, language: str = "en") -> Report:
    """The report on the small study; with ``folder`` its PET and CT are written there in DICOM, feet first."""
    study, labels = small_study()
    exam = small_exam(study, labels, language)
    if folder is not None:
        write_dicom_study(folder, study, "RPI")
    return Report(exam, draft_report(exam, assess(exam)), images=Images(study, labels), dicom=folder)
