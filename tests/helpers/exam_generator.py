"""Synthetic exams for tests: every region, tracer, gap and kind of prior that the contract allows, from a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer

_PSMA = [tracer.value for tracer in Tracer if tracer.facts.targets_psma]
_INDICATIONS = [
    "primary staging",
    "biochemical recurrence",
    "restaging",
    "response after 2 cycles",
    "RLT selection",
    None,
]
_THERAPIES = [None, [], ["radical prostatectomy 2016"], ["salvage RT 2018", "ADT"], ["sarcoidosis known since 2011"]]
_CT = {
    "bone": [
        "sclerotic",
        "no sclerosis, lysis or fracture on CT",
        "osteophyte",
        "lytic",
        None,
        "old fracture with callus",
    ],
    "node": ["12 mm short axis", "calcified", "fatty hilum", None, "rounded, enlarged"],
    "organ": ["hypodense lesion", "spiculated nodule", "no CT correlate", None],
    "other": ["no CT correlate", None, "concordant PI-RADS 4 lesion on MRI"],
}
_LEVELS = {"BONE_LSPINE": ("L", 5), "BONE_TSPINE": ("T", 12), "BONE_CSPINE": ("C", 7)}


def generate_exam(seed: int, language: str = "en", lesions: int | None = None) -> Exam:
    """Return the exam of a seed; ``lesions`` fixes how many there are."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 13)) if lesions is None else lesions
    tracer = str(rng.choice(_PSMA))
    rows = [_lesion(rng, f"L{number}") for number in range(1, count + 1)]
    content = {
        "tracer": tracer if rng.random() < 0.95 else rng.choice(["18F-FDG", None]),
        "indication": _pick(rng, _INDICATIONS),
        "clinical": _clinical(rng),
        "technique": _technique(rng),
        "reference_suv": _reference(rng),
        "lesions": rows,
        "prior": _prior(rng, rows, tracer),
        "psma_vol_ml": _maybe(rng, 0.3, _value(rng, 1, 400)),
        "language": language,
    }
    return Exam.model_validate(content)


def _lesion(rng: np.random.Generator, lesion_id: str) -> dict[str, Any]:
    region = Region(str(rng.choice([one.value for one in Region])))
    sides = region.facts.sides
    suvmean = _value(rng, 0.4, 25)
    return {
        "lesion_id": lesion_id,
        "region": region.value,
        "side": str(rng.choice(sides)) if sides and rng.random() < 0.95 else None,
        "suvmax": _maybe(rng, 0.95, round(suvmean * float(rng.uniform(1.1, 2)), 1)),
        "suvmean": _maybe(rng, 0.9, suvmean),
        "volume_ml": _maybe(rng, 0.9, _value(rng, 0.1, 40)),
        "size_mm": _maybe(rng, 0.8, float(rng.integers(4, 45))),
        "ct_correlate": _ct_text(rng, region),
        "ct_class": _maybe(rng, 0.2, str(rng.choice(["none", "nonspecific", "degenerative", "benign", "suspicious"]))),
        "model_prob": _maybe(rng, 0.8, round(float(rng.uniform()), 2)),
    }


def _ct_text(rng: np.random.Generator, region: Region) -> str | None:
    kind = "node" if region.is_node else "bone" if region.is_bone else region.facts.site
    text = _pick(rng, _CT.get(kind, _CT["other"]))
    if region.value in _LEVELS and text and rng.random() < 0.7:
        letter, most = _LEVELS[region.value]
        return f"{letter}{rng.integers(1, most + 1)} vertebral body, {text}"
    if region is Region.BONE_RIB and text and rng.random() < 0.7:
        return f"{rng.integers(4, 13)}th rib, {text}"
    return text


def _clinical(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "age": _maybe(rng, 0.9, int(rng.integers(45, 90))),
        "psa_ng_ml": _maybe(rng, 0.9, _value(rng, 0.1, 300)),
        "psa_history": _maybe(rng, 0.3, "12.0 -> 0.2 -> 1.4"),
        "gleason": _maybe(rng, 0.8, "4+3=7 (ISUP 3)"),
        "prior_therapy": _pick(rng, _THERAPIES),
        "current_therapy": _pick(rng, [None, [], ["ADT"]]),
        "prostate_status": _pick(rng, ["in_situ", "removed", "irradiated", None]),
    }


def _technique(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "activity_mbq": _maybe(rng, 0.9, float(rng.integers(100, 350))),
        "uptake_min": _maybe(rng, 0.9, float(rng.integers(55, 125))),
        "furosemide": _pick(rng, [True, False, None]),
        "ct": _maybe(rng, 0.8, "low-dose CT, non-contrast"),
        "weight_kg": _maybe(rng, 0.5, float(rng.integers(55, 120))),
    }


def _reference(rng: np.random.Generator) -> dict[str, Any]:
    ranges = {"blood_pool": (1, 2.5), "liver": (3, 13), "spleen": (4, 10), "parotid": (11, 22)}
    return {organ: _maybe(rng, 0.93, _value(rng, *span)) for organ, span in ranges.items()}


def _prior(rng: np.random.Generator, rows: list[dict[str, Any]], tracer: str) -> dict[str, Any] | None:
    if rng.random() < 0.4:
        return None
    known = [row for row in rows if rng.random() < 0.6]
    lesions = [
        {
            "lesion_id": f"P{number}",
            "region": row["region"],
            "side": row["side"],
            "suvmax": _value(rng, 1, 40),
            "volume_ml": _value(rng, 0.1, 40),
        }
        for number, row in enumerate(known, start=1)
    ]
    if rng.random() < 0.3:
        lesions.append({"lesion_id": "P99", "region": "LN_OBTURATOR", "side": "L", "suvmax": 9.9})
    text = "Sternum normal. L4 sclerotic focus SUVmax 14.7, 16 mm. Left external iliac node SUVmax 8.2."
    as_text = rng.random() < 0.3
    return {
        "date": _maybe(rng, 0.9, "2024-12-03"),
        "modality": _maybe(rng, 0.9, "PSMA PET/CT"),
        "tracer": _pick(rng, [tracer, tracer, tracer, "68Ga-PSMA-11", None]),
        "report_text": text if as_text else None,
        "lesions": None if as_text else lesions,
        "psma_vol_ml": _maybe(rng, 0.4, _value(rng, 1, 400)),
    }


def _value(rng: np.random.Generator, low: float, high: float) -> float:
    return round(float(rng.uniform(low, high)), 1)


def _maybe(rng: np.random.Generator, probability: float, value: Any) -> Any:
    return value if rng.random() < probability else None


def _pick(rng: np.random.Generator, choices: list[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]
