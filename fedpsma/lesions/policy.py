"""The conventions of ``data/policy.json``: sizes and distances that the field leaves open, each with its source."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict

Tag = Literal["C", "S", "P", "UNCONFIRMED"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tag: Tag
    source: str


class ReferencePolicy(_Row):
    """Where reference organs are measured; sphere sizes are diameters."""

    liver_sphere_mm: float
    spleen_sphere_mm: float
    blood_pool_min_ml: float
    parotid_fraction: float
    parotid_min_ml: float
    clearance_mm: float
    smoothing_mm: float
    typical_within: float


class AortaPolicy(_Row):
    """How the aorta is told from the heart in a map that holds both in one class."""

    from_spine_mm: float
    widest_radius_mm: float
    clear_of_heart_mm: float
    least_radius_mm: float
    core_fraction: float


class SidePolicy(_Row):
    """Distances from the midline plane at which a side is told."""

    ambiguous_mm: float
    midline_mm: float
    right_lobe_from_mm: float


class VotePolicy(_Row):
    """How much a voxel of an anatomy class counts (1 where not listed), and how far around a focus votes are taken."""

    weights: dict[str, float]
    reach_mm: float


class CtPolicy(_Row):
    """Attenuation limits in HU for the words of the CT correlate."""

    sclerotic_from_hu: float
    lytic_below_hu: float
    air_or_fat_below_hu: float
    soft_tissue_hu: tuple[float, float]
    node_reach_mm: float


class Policy(BaseModel):
    """The whole of ``data/policy.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    references: ReferencePolicy
    aorta: AortaPolicy
    sides: SidePolicy
    votes: VotePolicy
    ct: CtPolicy


@cache
def policy() -> Policy:
    """Return the policy that ships with the library.

    Example:
        >>> policy().references.liver_sphere_mm
        30.0
    """
    return Policy.model_validate(
        json.loads(resources.files(__package__).joinpath("data/policy.json").read_text("utf-8"))
    )
