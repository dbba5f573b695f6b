"""Scores of made-up studies: lesions, foci, stages and probabilities drawn from a seed, no image behind them."""

from __future__ import annotations

import numpy as np

from fedpsma.domain.assessment import MiTnm
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.evaluation.detection import HIT_RULES
from fedpsma.evaluation.records import FocusScore, LesionScore, StageScore, StudyScores

REGIONS = (Region.PROSTATE, Region.LN_OBTURATOR, Region.LN_RETROPERITONEAL, Region.BONE_RIB, Region.LIVER)
TRACERS = (Tracer.PSMA_11, Tracer.PSMA_1007)


def label(probability: float) -> str:
    if probability < 0.12:
        return "physiological"
    return "malignant" if probability >= 0.65 else "indeterminate"


def made_up_studies(patients: int, seed: int = 0, *, skill: float = 1.5, foci: int = 12) -> list[StudyScores]:
    """Draw one study a patient; ``skill`` parts the probabilities of lesions and others."""
    rng = np.random.default_rng(seed)
    return [_study(f"P{number:04d}", TRACERS[number % 2], rng, skill, foci) for number in range(patients)]


def _study(name: str, tracer: Tracer, rng: np.random.Generator, skill: float, foci: int) -> StudyScores:
    lesions = [_lesion(number + 1, rng, skill) for number in range(rng.poisson(3))]
    found = [one for one in lesions if one.found_at["overlap"] is not None]
    others = [_other(float(one), rng) for one in _probability(rng.normal(-skill, 1.3, rng.poisson(foci)))]
    true_ml = sum(one.volume_ml for one in lesions)
    found_ml = sum(one.found_ml or 0.0 for one in lesions)
    return StudyScores(
        dataset="made up",
        study_id=name,
        patient_id=name,
        tracer=tracer,
        contour="pct45",
        dice=float(rng.beta(7, 3)) if lesions else None,
        false_positive_ml=float(rng.exponential(2.0)),
        false_negative_ml=sum(one.volume_ml for one in lesions if one.found_ml is None) if lesions else None,
        true_ml=true_ml,
        found_ml=found_ml,
        rules=HIT_RULES,
        judged=True,
        foci=(*map(_hit, found), *others),
        lesions=tuple(lesions),
        stage=_stage(lesions),
        benign={"ureter": 1, "bowel_loop": 2, "unspecific_bone_uptake": 1},
    )


def _lesion(number: int, rng: np.random.Generator, skill: float) -> LesionScore:
    seen, probability = rng.random() < 0.93, float(_probability(rng.normal(skill, 1.3)))
    at = probability if seen else None
    region = REGIONS[rng.integers(len(REGIONS))]
    told = region if rng.random() < 0.85 else REGIONS[rng.integers(len(REGIONS))]
    volume = float(rng.lognormal(0.3, 1.1))
    return LesionScore(
        number=number,
        volume_ml=volume,
        found_at={rule: at for rule in HIT_RULES},
        label=label(probability) if seen else None,
        true_region=region,
        region=told if seen else None,
        true_side="L",
        side=("L" if rng.random() < 0.95 else "R") if seen else None,
        found_ml=volume * float(rng.lognormal(0.05, 0.25)) if seen and probability >= 0.5 else None,
    )


def _hit(lesion: LesionScore) -> FocusScore:
    probability = lesion.found_at["overlap"] or 0.0
    return FocusScore(
        probability=probability,
        label=label(probability),
        listed=probability >= 0.2 or label(probability) != "physiological",
        candidate=True,
        hits={rule: True for rule in HIT_RULES},
        region=lesion.region,
        true_region=lesion.true_region,
    )


def _other(probability: float, rng: np.random.Generator) -> FocusScore:
    origin = ("ureter", "bowel_loop", "unspecific_bone_uptake", "kidney", "soft_tissue")[rng.integers(5)]
    return FocusScore(
        probability=probability,
        label=label(probability),
        listed=probability >= 0.2 or label(probability) != "physiological",
        candidate=True,
        hits={rule: False for rule in HIT_RULES},
        region=Region.OTHER_SOFT_TISSUE,
        true_region=Region.PHYSIOLOGIC if rng.random() < 0.1 else Region.OTHER_SOFT_TISSUE,
        origin=origin,
    )


def _stage(lesions: list[LesionScore]) -> StageScore:
    true = _tnm([one.true_region for one in lesions])
    told = _tnm([one.region for one in lesions if one.label == "malignant"])
    return StageScore(true=true, found=told, rules=true)


def _tnm(regions: list[Region | None]) -> MiTnm:
    axes = {region.facts.mitnm_axis for region in regions if region is not None}
    distant = [name for name in ("M1a", "M1b", "M1c") if name in axes]
    return MiTnm(T="T2u" if "T" in axes else "T0", N="N1" if "N" in axes else "N0", M=distant or ["M0"])


def _probability(logit: np.ndarray | float) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.asarray(logit)))
