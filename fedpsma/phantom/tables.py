"""The phantom's data files as checked records."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.anatomy import anatomy_number

Point = tuple[float, float, float]
Shape = Literal["ellipsoid", "stroke", "plate", "column", "diaphragm", "small_bowel", "spine", "ribs"]


class Row(BaseModel):
    """A frozen record of a data file that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tissue(Row):
    """What a voxel is made of: its anatomy class, its density, and the organ whose uptake it has."""

    name: str
    anatomy: str
    hu: float
    hu_contrast: float
    organ: str | None


class Step(Row):
    """One shape of the body; which fields it needs follows from ``shape``."""

    shape: Shape
    tissue: str
    centre: Point | None = None
    radii: Point | None = None
    tilt: float = 0.0
    points: tuple[Point, ...] = ()
    radius: float | tuple[float, ...] = 0.0
    edge_a: tuple[Point, ...] = ()
    edge_b: tuple[Point, ...] = ()
    rows: tuple[tuple[float, float, float, float], ...] = ()
    centre_x: float = 0.0
    power: float = 2.5
    mirror: bool = False
    skin: bool = False
    organ: str | None = None
    over: str | None = None
    needs: Literal["in_situ", "removed"] | None = None


class SpineSegment(Row):
    """Vertebrae of one part of the spine, from below; two numbers run from the lowest to the highest."""

    tissue: str
    count: int
    bottom: float
    top: float
    half_width: tuple[float, float]
    half_depth: float
    process: float


class Spine(Row):
    """The vertebral column: ``curve`` holds z and y of the middle of the vertebral bodies."""

    note: str
    curve: tuple[tuple[float, float], ...]
    segments: tuple[SpineSegment, ...]

    def middle_y(self, z: Any) -> Any:
        """Return y of the vertebral body at a height."""
        return np.interp(z, *np.transpose(self.curve))


class Dome(Row):
    """One half of the diaphragm: an elliptic dome over (x, y)."""

    centre: tuple[float, float]
    radii: tuple[float, float]
    edge_z: float
    top_z: float


class Body(Row):
    """``body.json``: the drawing list of the anatomy."""

    note: str
    source: str
    steps: tuple[Step, ...]
    covers: dict[str, tuple[str, ...]]
    spine: Spine
    diaphragm: tuple[Dome, ...]
    cavity: tuple[tuple[float, float, float, float], ...]
    stations: tuple[Step, ...]


class OrganSize(Row):
    """How large an organ is, how far its middle lies beside its shape in ``body.json``, and how much that varies."""

    median_ml: float
    log_sd: float
    anchor: Point | None
    middle_mm: Point = (0.0, 0.0, 0.0)
    shift_mm: Point
    reference_ml: float


class SwayPart(Row):
    """How far a part of the body lies beside the lungs along x and y, real mm."""

    mean_mm: tuple[float, float]
    sd_mm: tuple[float, float]


class Sway(Row):
    """How crooked men lie; pelvis, loins, head. What follows takes that share of the part named before it."""

    source: str
    parts: tuple[SwayPart, SwayPart, SwayPart]
    loins_follow: tuple[float, float]
    liver_follows: float
    neck_follows: float


class BuildSpread(Row):
    """How men and their fields of view differ: mean and SD. ``trunk`` is its length against stature."""

    source: str
    trunk: tuple[float, float]
    diaphragm_mm: tuple[float, float]
    field_low_mm: tuple[float, float]
    field_high_mm: tuple[float, float]
    vertex_mm: float
    vertex_share: float
    sway: Sway


def read_table(name: str) -> Any:
    """Return the decoded content of a data file of this package."""
    return json.loads(resources.files(__package__).joinpath("data", name).read_text("utf-8"))


@cache
def body() -> Body:
    """Return the drawing list of the anatomy."""
    return Body.model_validate(read_table("body.json"))


@cache
def organ_sizes() -> dict[str, OrganSize]:
    """Return size and place of each organ that varies on its own."""
    return {name: OrganSize.model_validate(row) for name, row in read_table("organs.json")["organs"].items()}


@cache
def build_spread() -> BuildSpread:
    """Return how men differ beside their organs."""
    return BuildSpread.model_validate(read_table("organs.json")["build"])


@cache
def tissues() -> tuple[Tissue, ...]:
    """Return all tissues; the place in the tuple is the label in a tissue volume."""
    return tuple(Tissue.model_validate(row) for row in read_table("tissues.json")["tissues"])


@cache
def tissue_number(name: str) -> int:
    """Return the label of a tissue.

    Example:
        >>> tissue_number("outside")
        0
    """
    return next(number for number, tissue in enumerate(tissues()) if tissue.name == name)


@cache
def tissue_classes() -> NDArray[np.uint8]:
    """Return the anatomy class number of each tissue label."""
    return np.array([anatomy_number(tissue.anatomy) for tissue in tissues()], dtype=np.uint8)


@cache
def cover(name: str) -> NDArray[np.bool_]:
    """Tell for each tissue label whether a shape with this ``over`` may cover it."""
    allowed = body().covers[name]
    return np.array([tissue.name in allowed for tissue in tissues()])
