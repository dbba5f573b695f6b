"""The limits of the check, each with its source and how sure it is: ``data/limits.json``."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fedpsma.domain.tracer import Tracer

Tag = Literal["M", "K", "P"]
Range = tuple[float, float]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tag: Tag
    source: str


class TracerLimits(_Row):
    """SUV (g/ml) of liver and blood pool, and liver over blood pool, outside of which a study is looked at."""

    tracer: Tracer
    liver: Range
    blood_pool: Range
    ratio: Range


class Number(_Row):
    """One limit."""

    value: float


class Interval(_Row):
    """The least and the largest value that raise no question."""

    value: Range


class RuleLimits(BaseModel):
    """The limits that hold for every tracer; what each means stands beside it in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_patients: Number
    impossible_body_mean: Interval
    odd_body_mean: Interval
    mixed_units_factor: Number
    mixed_units_from: Number
    whole_body_mm: Number
    small_width_mm: Number
    odd_voxel_mm: Interval
    low_suv: Number
    low_suv_share: Number
    mirrored_gain: Number
    mirrored_contrast: Number
    body_overlap: Number
    liver_hu: Interval
    contour_fixed_tolerance: Number
    contour_fraction_tolerance: Number
    contour_fixed_spread: Number
    contour_fraction_spread: Number
    contour_least_ml: Number
    contour_least_lesions: Number
    outlier_z: Number
    outlier_from: Number
    similar_from: Number


class Limits(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    caution: str
    tags: dict[Tag, str]
    tracers: tuple[TracerLimits, ...]
    rules: RuleLimits

    def of_tracer(self, tracer: Tracer) -> TracerLimits:
        """Return the limits of one tracer."""
        return next(row for row in self.tracers if row.tracer == tracer)


@cache
def limits() -> Limits:
    """Return the limits.

    Example:
        >>> limits().rules.low_suv.value
        1.0
    """
    return Limits.model_validate(
        json.loads(resources.files(__package__).joinpath("data/limits.json").read_text("utf-8"))
    )
