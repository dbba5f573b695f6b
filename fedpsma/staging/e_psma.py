"""E-PSMA five-point score, from the PSMA-RADS category."""

from __future__ import annotations

from fedpsma.domain.assessment import EPsma, PsmaRads
from fedpsma.staging.rulebook import Noted, traced

_FROM_PSMA_RADS: dict[PsmaRads, EPsma] = {
    "5": 5,
    "4": 4,
    "3A": 3,
    "3B": 3,
    "3C": 3,
    "3D": 3,
    "2": 2,
    "1": 1,
    "5T": 1,
}
_NO_CLASS = "E-PSMA has no class for a tumour without uptake: 3 stands for PSMA-RADS 3D"


def score_e_psma(categories: dict[str, PsmaRads | None]) -> Noted[dict[str, EPsma | None]]:
    """Map each category; null where the category is open."""
    scores = {name: _FROM_PSMA_RADS[category] if category else None for name, category in categories.items()}
    notes = {name: _NO_CLASS for name, category in categories.items() if category == "3D"}
    return Noted(scores, (traced("e_psma", {"psma_rads": categories} | ({"note": notes} if notes else {}), scores),))
