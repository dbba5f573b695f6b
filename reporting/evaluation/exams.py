"""Synthetic exams without an image: the disease of a phantom patient as it was drawn, as a lesion table with its gaps.

Nothing here is taken from a patient. The values are those that a phantom was planned with, not what a scanner shows.
"""

from __future__ import annotations

from typing import Any, get_args

import numpy as np

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.exam import Exam
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.lesions import Focus, draw_disease, short_axis_mm
from fedpsma.phantom.sites import Scenario
from reporting.sentences import Language

FIRST_TEST_SEED = 700_000  # no corpus to train on is made of exams from here on
_MOST_LESIONS = 12
_LISTED_MIMICS = 0.3
_INDICATIONS: dict[Scenario, tuple[str, ...]] = {
    "staging": ("primary staging", "initial staging of high-risk prostate cancer"),
    "recurrence": ("biochemical recurrence", "rising PSA after prostatectomy"),
    "castration_resistant": ("restaging", "response after 2 cycles", "selection for RLT"),
}
_REFERENCES = {"blood_pool": (1.0, 2.5), "liver": (3.0, 13.0), "spleen": (4.0, 10.0), "parotid": (11.0, 22.0)}
_OFTEN_OUTSIDE = ("BRAIN", "BONE_OTHER_EXTREMITY", "BONE_SKULL")
_TRACERS = [tracer for tracer in Tracer if tracer.facts.targets_psma]


def synthetic_exam(seed: int, language: Language = "en") -> Exam:
    """Return the exam of a seed: one phantom patient of any tracer, with the gaps and priors that reports have.

    Example:
        >>> synthetic_exam(3) == synthetic_exam(3)
        True
    """
    rng = np.random.default_rng([seed, 8])
    scenario = get_args(Scenario)[int(rng.integers(len(get_args(Scenario))))]
    tracer = _TRACERS[int(rng.integers(len(_TRACERS)))]
    removed = scenario != "staging" and rng.random() < 0.7
    disease = draw_disease(rng, scenario, "removed" if removed else "in_situ", tracer)
    # A reader lists few of the foci that he knows to be normal.
    foci = [*disease.lesions, *(focus for focus in disease.mimics if rng.random() < _LISTED_MIMICS)]
    chosen = sorted(rng.permutation(len(foci))[:_MOST_LESIONS].tolist())
    rows = [row for row in (_row(rng, foci[index]) for index in chosen) if row is not None]
    rows = [{"lesion_id": f"L{number}", **row} for number, row in enumerate(rows, start=1)]
    exam: dict[str, Any] = {
        "tracer": tracer.value,
        "indication": _INDICATIONS[scenario][int(rng.integers(len(_INDICATIONS[scenario])))],
        "clinical": _clinical(rng, removed),
        "technique": {"activity_mbq": float(rng.integers(100, 350)), "uptake_min": float(rng.integers(55, 125))},
        "reference_suv": {organ: _maybe(rng, 0.97, _value(rng, *span)) for organ, span in _REFERENCES.items()},
        "lesions": rows,
        "prior": _prior(rng, rows, tracer) if rng.random() < 0.6 else None,
        "language": language,
    }
    exam["technique"]["not_covered"] = _not_covered(rng, rows)
    return Exam.model_validate(exam)


def _row(rng: np.random.Generator, focus: Focus) -> dict[str, Any] | None:
    region = focus.region or _region_of(focus.target)
    if region is None:
        return None
    axis = short_axis_mm(focus.volume_ml, focus.ratios)
    size = axis if region.is_node else axis * max(focus.ratios) / min(focus.ratios)
    suvmax = round(focus.suvmax, 1)
    return {
        "region": region.value,
        "side": str(rng.choice(region.facts.sides)) if region.facts.sides else None,
        "suvmax": _maybe(rng, 0.97, suvmax),
        "suvmean": round(0.6 * suvmax, 1),
        "volume_ml": round(focus.volume_ml, 2),
        "size_mm": _maybe(rng, 0.9, max(1, round(size))),
        "ct_correlate": _maybe(rng, 0.9, focus.ct_correlate),
        "ct_class": _maybe(rng, 0.85, focus.ct_class),
        "model_prob": round(float(rng.beta(5, 2) if focus.suspicious else rng.beta(2, 5)), 2),
    }


def _region_of(target: str | None) -> Region | None:
    return next((one.region for one in anatomy_classes() if one.name == target), None)


def _clinical(rng: np.random.Generator, removed: bool) -> dict[str, Any]:
    return {
        "age": int(rng.integers(50, 88)),
        "psa_ng_ml": _maybe(rng, 0.95, _value(rng, 0.2, 90)),
        "gleason": "4+3=7 (ISUP 3)",
        "prior_therapy": ["radical prostatectomy"] if removed else None,
        "prostate_status": "removed" if removed else "in_situ",
    }


def _prior(rng: np.random.Generator, rows: list[dict[str, Any]], tracer: Tracer) -> dict[str, Any]:
    known = [row for row in rows if rng.random() < 0.7]
    lesions = [
        {
            "lesion_id": f"P{number}",
            "region": row["region"],
            "side": row["side"],
            "suvmax": round((row["suvmax"] or 5.0) * float(rng.choice([0.5, 0.8, 1.0, 1.05, 1.6, 2.4])), 1),
            "volume_ml": round(row["volume_ml"] * float(rng.choice([0.6, 1.0, 1.7])), 2),
        }
        for number, row in enumerate(known, start=1)
    ]
    other = _TRACERS[int(rng.integers(len(_TRACERS)))]
    return {
        "date": "2024-12-03",
        "modality": "PSMA PET/CT",
        "tracer": (tracer if rng.random() < 0.85 else other).value,
        "lesions": lesions,
    }


def _not_covered(rng: np.random.Generator, rows: list[dict[str, Any]]) -> list[str] | None:
    """Draw what a report tells of the field of view: nothing, that it was complete, or what lies outside of it."""
    free = [name for name in _OFTEN_OUTSIDE if all(row["region"] != name for row in rows)]
    told = rng.random()
    return None if told < 0.5 else [] if told < 0.7 else free[: int(rng.integers(1, len(free) + 1))]


def _value(rng: np.random.Generator, low: float, high: float) -> float:
    return round(float(rng.uniform(low, high)), 1)


def _maybe(rng: np.random.Generator, probability: float, value: Any) -> Any:
    return value if rng.random() < probability else None
