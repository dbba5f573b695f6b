"""How a centre draws the edge of a lesion; no consensus exists, so every data set and every result names its rule."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict

ContourConvention = Literal["suv3", "suv4", "pct41", "pct45", "pct50", "liver", "manual"]


class ContourRule(BaseModel):
    """One row of ``data/contours.json``; ``value`` is an SUV, or a fraction (of SUVmax, of contrast)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    convention: ContourConvention
    kind: Literal["fixed", "fraction", "liver", "adaptive"]
    value: float
    tag: Literal["C", "S", "P", "UNCONFIRMED"]
    source: str


@cache
def contour_rules() -> dict[ContourConvention, ContourRule]:
    """Return every convention by its name.

    Example:
        >>> [name for name, rule in contour_rules().items() if rule.kind == "fraction"]
        ['pct41', 'pct45', 'pct50']
    """
    rows = json.loads(resources.files(__package__).joinpath("data/contours.json").read_text("utf-8"))["contours"]
    rules = [ContourRule.model_validate(row) for row in rows]
    return {rule.convention: rule for rule in rules}


def threshold_suv(
    convention: ContourConvention,
    peak: float,
    liver_mean: float | None = None,
    liver_sd: float | None = None,
    *,
    in_bone: bool = False,
) -> float | None:
    """Return the SUV from which voxels belong to a lesion with SUVmax ``peak``; the liver's SUV as mean and SD.

    ``None`` where the convention knows none: an outline drawn by a reader or adapted to the tumour, or a liver that
    could not be measured.

    Example:
        >>> threshold_suv("pct41", 10.0), threshold_suv("suv3", 10.0), threshold_suv("manual", 10.0)
        (4.1, 3.0, None)
        >>> threshold_suv("liver", 10.0, 5.0, 0.5), threshold_suv("liver", 10.0, 5.0, 0.5, in_bone=True)
        (4.73, 3.0)
    """
    rule = contour_rules()[convention]
    if rule.kind == "fixed":
        return rule.value
    if rule.kind == "fraction":
        return round(rule.value * peak, 6)
    if rule.kind == "liver" and in_bone:
        return contour_rules()["suv3"].value
    if rule.kind == "liver" and liver_mean is not None and liver_sd is not None and liver_mean > 0:
        return round(rule.value / liver_mean * (liver_mean + liver_sd), 6)
    return None
