"""Facts for the discussion of a radioligand therapy. Eligibility is never stated, in neither direction."""

from __future__ import annotations

from collections.abc import Sequence

from fedpsma.domain.exam import Exam
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.rulebook import Noted, traced


def radioligand_facts(exam: Exam, counted: Sequence[LesionFacts], negative: Sequence[str]) -> Noted[list[str]]:
    """State uptake against the liver and its range over the counted metastases, and what is PSMA-negative."""
    metastases = [one for one in counted if one.region.facts.mitnm_axis != "T"]
    if not metastases and not negative:
        return Noted([])
    suvs = {one.lesion_id: one.lesion.suvmax for one in metastases if (one.lesion.suvmax or -1.0) >= 0}
    facts = [] if not metastases else [_against_the_liver(exam.reference_suv.liver, suvs, len(metastases))]
    if suvs:
        highest, lowest = max(suvs, key=lambda name: suvs[name] or 0), min(suvs, key=lambda name: suvs[name] or 0)
        facts.append(f"SUVmax of the counted metastases {suvs[lowest]:g} ({lowest}) to {suvs[highest]:g} ({highest})")
    if negative:
        facts.append(f"PSMA-negative disease ({', '.join(negative)}): relevant for RLT selection, discuss in MDT")
    inputs = {"liver": exam.reference_suv.liver, "suvmax": suvs, "PSMA-negative": list(negative)}
    return Noted(facts, (traced("radioligand", inputs, facts),))


def _against_the_liver(liver: float | None, suvs: dict[str, float | None], number: int) -> str:
    if liver is None or liver < 0:
        return "uptake against the liver cannot be told: the liver was not measured"
    above = [name for name, suv in suvs.items() if suv is not None and suv > liver]
    text = f"{len(above)} of {number} counted metastases with SUVmax above the liver ({liver:g})"
    below = [name for name in suvs if name not in above]
    return f"{text}; not above it: {', '.join(below)}" if below else text
