"""PET tracers and the facts about them that the rules and the importer need."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Tracer(StrEnum):
    """A radiopharmaceutical, by its customary name."""

    PSMA_11 = "68Ga-PSMA-11"
    DCFPYL = "18F-DCFPyL"
    PSMA_1007 = "18F-PSMA-1007"
    RHPSMA_7_3 = "18F-rhPSMA-7.3"
    FDG = "18F-FDG"

    @property
    def facts(self) -> TracerFacts:
        """What is known of this tracer, from ``data/tracers.json``."""
        return _facts()[self]


class TracerFacts(BaseModel):
    """One row of ``data/tracers.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracer: Tracer
    radionuclide: Literal["Ga-68", "F-18"]
    half_life_s: float
    targets_psma: bool
    expression_reference: Literal["liver", "spleen"] | None
    expression_reference_tag: Literal["C", "S", "P", "UNCONFIRMED"] | None
    unspecific_bone_uptake: bool
    source: str


@cache
def _facts() -> dict[Tracer, TracerFacts]:
    rows = json.loads(resources.files(__package__).joinpath("data/tracers.json").read_text("utf-8"))["tracers"]
    facts = [TracerFacts.model_validate(row) for row in rows]
    return {fact.tracer: fact for fact in facts}
