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
    least_piece: float


class AortaPolicy(_Row):
    """How the aorta is told from the heart in a map that holds both in one class."""

    from_spine_mm: float
    widest_radius_mm: float
    clear_of_heart_mm: float
    least_radius_mm: float
    core_fraction: float
    least_length_mm: float
    least_spine_ml: float


class SidePolicy(_Row):
    """Distances from the midline plane at which a side is told."""

    ambiguous_mm: float
    midline_mm: float
    right_lobe_from_mm: float


class VotePolicy(_Row):
    """How much a voxel of an anatomy class counts, and how far around the hot core of a focus votes are taken.

    A class that is not listed counts 1, or ``bone_or_node`` where it is one. A voxel just beside the core counts
    ``beside`` against its hottest one, and less by a factor e with every ``fall_off_mm``.
    """

    weights: dict[str, float]
    bone_or_node: float
    beside: float
    fall_off_mm: float
    reach_mm: float


class CtPolicy(_Row):
    """Attenuation limits in HU for the words of the CT correlate, and how far around a focus is looked.

    ``usual_percent`` are the percentiles of the bone nearby between which its attenuation is usual. ``shift_mm`` is how
    far PET and CT may lie apart.
    """

    sclerotic_from_hu: float
    lytic_below_hu: float
    air_or_fat_below_hu: float
    usual_percent: tuple[float, float]
    reach_mm: float
    rim_mm: float
    shift_mm: float
    lung_nodule_from_hu: float
    lung_reach_mm: float
    liver_contrast_hu: float


class NodePolicy(_Row):
    """How a lymph node is delimited on CT, and from which short axis it is called enlarged."""

    enlarged_pelvis_mm: float
    enlarged_elsewhere_mm: float
    soft_tissue_from_hu: float
    fat_hu: float
    dense_hu: float
    reach_mm: float
    shift_mm: float
    ring_mm: tuple[float, float]
    fat_share: float


class Policy(BaseModel):
    """The whole of ``data/policy.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    references: ReferencePolicy
    aorta: AortaPolicy
    sides: SidePolicy
    votes: VotePolicy
    ct: CtPolicy
    node: NodePolicy


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
