"""Why a focus was judged as it was, in words: each term of the judge with the fact it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from fedpsma.lesions.facts import FAR_MM, Facts
from fedpsma.lesions.judge import Judgement

_LEAST_LOG_ODDS = 0.05


@dataclass(frozen=True)
class Reason:
    """One fact with its weight: positive ``log_odds`` speak for malignancy, negative ones against it."""

    fact: str
    text: str
    log_odds: float


def reasons(judgement: Judgement) -> tuple[Reason, ...]:
    """Return what moved a judgement, the strongest first; what hardly moved it (0.05 log-odds) is left out."""
    return tuple(
        Reason(name, _in_words(name, judgement.facts), round(value, 2))
        for name, value in judgement.terms
        if abs(value) >= _LEAST_LOG_ODDS
    )


def _in_words(name: str, facts: Facts) -> str:
    region = facts.region.facts.name_en
    if name == "tracer":
        return f"{facts.tracer or 'unknown tracer'} in this kind of region ({region})"
    if name == "region":
        return f"region: {region}"
    value = getattr(facts, name)
    if value is None:
        return _MISSING[name]
    if name == "distance_mm" and value >= FAR_MM:
        return f"no organ with normal uptake within {FAR_MM:.0f} mm"
    return _WORDS[name].format(value)


_WORDS = {
    "network": "the network's mean suspicion over the core, log-odds {:.1f}",
    "network_peak": "the network's highest suspicion in the core, log-odds {:.1f}",
    "physiological": "the network's belief in normal uptake, log-odds {:.1f}",
    "suvmax": "SUVmax {:.1f}",
    "to_shell": "SUVmax {:.1f} times the tissue around",
    "core_ml": "volume above half the maximum {:.1f} ml",
    "elongation": "{:.1f} times as long as wide",
    "to_liver": "SUVmax {:.1f} times the liver",
    "to_blood_pool": "SUVmax {:.1f} times the blood pool",
    "distance_mm": "{:.0f} mm from an organ with normal uptake",
    "hu": "mean attenuation {:.0f} HU",
    "prominence": "the saddle to a hotter focus lies {:.0%} below its top",
}
_MISSING = {
    "to_liver": "liver not measurable",
    "to_blood_pool": "blood pool not measurable",
    "to_shell": "no tissue to compare with around",
    "hu": "no CT here",
    "prominence": "no hotter focus in reach",
}
