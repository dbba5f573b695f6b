"""Made-up exams with one to seven lesions in common places: no patient, only plausible rows."""

from __future__ import annotations

import random
from typing import Any

from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region

TRACERS = ("68Ga-PSMA-11", "18F-DCFPyL", "18F-PSMA-1007")
PLACES = (
    Region.PROSTATE, Region.LN_EXTERNAL_ILIAC, Region.LN_INTERNAL_ILIAC, Region.LN_OBTURATOR, Region.LN_COMMON_ILIAC,
    Region.LN_RETROPERITONEAL, Region.LN_PRESACRAL, Region.LN_SUPRACLAVICULAR, Region.BONE_RIB, Region.BONE_LSPINE,
    Region.BONE_TSPINE, Region.BONE_PELVIS, Region.BONE_FEMUR, Region.BONE_SCAPULA, Region.BONE_STERNUM, Region.LIVER,
    Region.LUNG, Region.ADRENAL,
)  # fmt: skip
_CT = {
    "bone": ("sclerotic", "lytic", "no CT correlate"),
    "node": ("short axis measured", "rounded, enlarged"),
    "other": ("no CT correlate",),
}
_CHANGES = (0.5, 1.0, 1.8)


def made_up_exam(seed: int, language: str = "en") -> Exam:
    """Return the exam of a seed; about half have a prior with a table, with lesions stable, grown, shrunk and gone."""
    rng = random.Random(seed)
    tracer = rng.choice(TRACERS)
    places = rng.sample(PLACES, rng.randint(1, 7))
    rows = [_row(f"L{number}", region, rng) for number, region in enumerate(places, start=1)]
    content: dict[str, Any] = {
        "tracer": tracer,
        "indication": rng.choice(("primary staging", "biochemical recurrence", "restaging")),
        "clinical": {
            "age": rng.randint(50, 85),
            "psa_ng_ml": round(rng.uniform(0.3, 90), 1),
            "prostate_status": "in_situ" if Region.PROSTATE in places else "removed",
            "prior_therapy": ["radical prostatectomy 2017"] if Region.PROSTATE not in places else [],
        },
        "technique": {"activity_mbq": float(rng.randint(150, 320)), "uptake_min": float(rng.randint(58, 115))},
        "reference_suv": {"blood_pool": 1.6, "liver": 5.2, "spleen": 7.4, "parotid": 16.3},
        "lesions": rows,
        "prior": _prior(rows, tracer, rng) if rng.random() < 0.6 else None,
        "language": language,
    }
    return Exam.model_validate(content)


def _row(lesion_id: str, region: Region, rng: random.Random) -> dict[str, Any]:
    suvmax = round(rng.uniform(3.0, 30.0), 1)
    kind = "bone" if region.is_bone else "node" if region.is_node else "other"
    sides = region.facts.sides
    return {
        "lesion_id": lesion_id,
        "region": region.value,
        "side": rng.choice([side for side in sides if side in ("L", "R", "M")] or [None]),
        "suvmax": suvmax,
        "suvmean": round(suvmax * 0.6, 1),
        "volume_ml": round(rng.uniform(0.4, 20.0), 1),
        "size_mm": float(rng.randint(5, 31)),
        "ct_correlate": rng.choice(_CT[kind]),
        "model_prob": round(rng.uniform(0.5, 0.99), 2),
    }


def _prior(rows: list[dict[str, Any]], tracer: str, rng: random.Random) -> dict[str, Any]:
    known = [row for row in rows if rng.random() < 0.7]
    lesions = [
        {
            "lesion_id": f"P{number}",
            "region": row["region"],
            "side": row["side"],
            "suvmax": round(row["suvmax"] / rng.choice(_CHANGES), 1),
        }
        for number, row in enumerate(known, start=1)
    ]
    return {"date": "2025-02-11", "modality": "PSMA PET/CT", "tracer": tracer, "lesions": lesions}
