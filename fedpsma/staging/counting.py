"""Which lesions count for the stage."""

from __future__ import annotations

from fedpsma.domain.assessment import PsmaRads
from fedpsma.staging.facts import LesionFacts
from fedpsma.staging.psma_rads import COUNTED
from fedpsma.staging.rulebook import Noted, traced


def counted_lesions(facts: list[LesionFacts], categories: dict[str, PsmaRads | None]) -> Noted[tuple[LesionFacts, ...]]:
    """Count PSMA-RADS 4 and 5 and every biopsy-proven prostate cancer lesion."""
    chosen = tuple(one for one in facts if counts(one, categories[one.lesion_id]))
    inputs = {one.lesion_id: _grounds(one, categories[one.lesion_id]) for one in facts}
    return Noted(chosen, (traced("counting", inputs, [one.lesion_id for one in chosen]),))


def _grounds(one: LesionFacts, category: PsmaRads | None) -> str:
    grounds = f"PSMA-RADS {category or 'open'}"
    return f"{grounds}, biopsy {one.biopsy}" if one.biopsy else grounds


def counts(one: LesionFacts, category: PsmaRads | None) -> bool:
    """Whether one lesion counts; a biopsy decides over its category."""
    if one.biopsy == "prostate_cancer":
        return True
    return category in COUNTED and one.biopsy is None
