"""The 44 anatomical labels a lesion can have, and what PROMISE miTNM V2 makes of each."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict

Side = Literal["L", "R", "M", "B"]
SiteKind = Literal["typical_soft_tissue", "other_soft_tissue", "bone", "organ", "highly_atypical", "physiologic"]


class RegionFacts(BaseModel):
    """One row of ``data/regions.json``.

    ``mitnm_axis`` and ``mitnm_code`` are null where the region has no place in miTNM; ``sides`` are the legal sides;
    ``site`` is how usual prostate cancer is there, as PSMA-RADS asks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str
    name_en: str
    name_de: str
    mitnm_axis: Literal["T", "N", "M1a", "M1b", "M1c"] | None
    mitnm_code: str | None
    sides: tuple[Side, ...]
    site: SiteKind
    snomed: str | None


class Region(StrEnum):
    """Where a lesion lies; the labels of ``data/regions.json``."""

    PROSTATE = "PROSTATE"
    SEMINAL_VESICLE = "SEMINAL_VESICLE"
    BLADDER_WALL = "BLADDER_WALL"
    RECTUM = "RECTUM"
    PELVIC_WALL = "PELVIC_WALL"
    PROSTATE_BED = "PROSTATE_BED"
    LN_INTERNAL_ILIAC = "LN_INTERNAL_ILIAC"
    LN_EXTERNAL_ILIAC = "LN_EXTERNAL_ILIAC"
    LN_OBTURATOR = "LN_OBTURATOR"
    LN_PRESACRAL = "LN_PRESACRAL"
    LN_MESORECTAL = "LN_MESORECTAL"
    LN_OTHER_PELVIC = "LN_OTHER_PELVIC"
    LN_COMMON_ILIAC = "LN_COMMON_ILIAC"
    LN_RETROPERITONEAL = "LN_RETROPERITONEAL"
    LN_MEDIASTINAL_HILAR = "LN_MEDIASTINAL_HILAR"
    LN_SUPRACLAVICULAR = "LN_SUPRACLAVICULAR"
    LN_AXILLARY = "LN_AXILLARY"
    LN_CERVICAL = "LN_CERVICAL"
    LN_INGUINAL = "LN_INGUINAL"
    LN_OTHER_EXTRAPELVIC = "LN_OTHER_EXTRAPELVIC"
    BONE_SKULL = "BONE_SKULL"
    BONE_CSPINE = "BONE_CSPINE"
    BONE_TSPINE = "BONE_TSPINE"
    BONE_LSPINE = "BONE_LSPINE"
    BONE_SACRUM = "BONE_SACRUM"
    BONE_PELVIS = "BONE_PELVIS"
    BONE_RIB = "BONE_RIB"
    BONE_STERNUM = "BONE_STERNUM"
    BONE_CLAVICLE = "BONE_CLAVICLE"
    BONE_SCAPULA = "BONE_SCAPULA"
    BONE_HUMERUS = "BONE_HUMERUS"
    BONE_FEMUR = "BONE_FEMUR"
    BONE_OTHER_EXTREMITY = "BONE_OTHER_EXTREMITY"
    BONE_MARROW_DIFFUSE = "BONE_MARROW_DIFFUSE"
    LIVER = "LIVER"
    LUNG = "LUNG"
    ADRENAL = "ADRENAL"
    BRAIN = "BRAIN"
    PLEURA_PERITONEUM = "PLEURA_PERITONEUM"
    OTHER_ORGAN = "OTHER_ORGAN"
    THYROID = "THYROID"
    GANGLION = "GANGLION"
    PHYSIOLOGIC = "PHYSIOLOGIC"
    OTHER_SOFT_TISSUE = "OTHER_SOFT_TISSUE"

    @property
    def facts(self) -> RegionFacts:
        """The row of this region in ``data/regions.json``."""
        return _facts()[self]

    def named(self, side: Side | None) -> str:
        """Return the English name with left or right.

        Example:
            >>> Region.BONE_RIB.named("L"), Region.BONE_LSPINE.named("M")
            ('left rib', 'lumbar spine')
        """
        word = {"L": "left ", "R": "right ", "B": "bilateral "}.get(side or "", "")
        return word + self.facts.name_en

    @property
    def is_node(self) -> bool:
        """Whether the region is a lymph node station."""
        return self.value.startswith("LN_")

    @property
    def is_bone(self) -> bool:
        """Whether the region is bone or bone marrow."""
        return self.value.startswith("BONE_")


@cache
def _facts() -> dict[Region, RegionFacts]:
    rows = json.loads(resources.files(__package__).joinpath("data/regions.json").read_text("utf-8"))["regions"]
    facts = [RegionFacts.model_validate(row) for row in rows]
    return {Region(fact.region): fact for fact in facts}
