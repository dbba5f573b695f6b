"""What a focus that is no lesion comes from: the benign focus beside it, else the anatomy at its peak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.study import Study
from fedpsma.lesions.foci import Focus
from fedpsma.lesions.geometry import indices_of, world_mm
from fedpsma.lesions.locate import hot_core
from fedpsma.phantom.truth import FocusTruth

ELSEWHERE = "elsewhere"


class OriginGroup(BaseModel):
    """One row of ``data/origins.json``: kinds of benign foci and anatomical classes that are counted together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    limited: bool
    benign: tuple[str, ...]
    classes: tuple[str, ...]


class _Reach(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    tag: str
    source: str


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    reach_mm: _Reach
    groups: tuple[OriginGroup, ...]


def origin_groups() -> tuple[OriginGroup, ...]:
    """Return all groups; the last takes what no other does."""
    return _table().groups


def group_of(origin: str) -> str:
    """Return the name of the group an origin belongs to.

    Example:
        >>> [group_of(origin) for origin in ("coeliac_ganglion", "kidney", "soft_tissue")]
        ['ganglion', 'organ', 'elsewhere']
    """
    for group in origin_groups():
        if origin in (*group.benign, *group.classes):
            return group.name
    return ELSEWHERE


def nearest(foci: Sequence[FocusTruth], voxels: NDArray[np.intp], study: Study) -> FocusTruth | None:
    """Return the true focus whose centre lies nearest to the voxels (n, 3), if it is within reach of any of them."""
    if not foci or not len(voxels):
        return None
    centres = np.array([one.centre_mm for one in foci])
    away = np.linalg.norm(world_mm(study.affine, voxels)[:, None] - centres[None], axis=2).min(axis=0)
    closest = int(np.argmin(away))
    return foci[closest] if away[closest] <= _table().reach_mm.value else None


def on_uncontoured_lesion(foci: Sequence[FocusTruth], study: Study) -> Callable[[Focus], bool]:
    """Return what tells of a focus outside the mask whether it lies on a lesion that the site did not contour."""
    off_mask = [one for one in foci if not (one.suspicious and one.contoured)]

    def lies_there(focus: Focus) -> bool:
        found = nearest(off_mask, indices_of(hot_core(focus, study.pet), focus.box), study)
        return found is not None and found.suspicious

    return lies_there


@cache
def _table() -> _Table:
    return _Table.model_validate_json(resources.files(__package__).joinpath("data/origins.json").read_text("utf-8"))
