"""What a patient has: lesions by compartment, and the benign foci that look like them. Drawn before the anatomy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.exam import CtClass
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.body import Prostate
from fedpsma.phantom.tables import Point, Row, read_table

Path = tuple[Point, ...]
_LESION_RATIOS = (0.6, 1.0)
# How far an upright focus leans, SD.
_LEAN_RAD = 0.35
# A node counts as enlarged from this short axis on: policy of the PSMA-RADS rules, pelvis and elsewhere.
_ENLARGED_MM = {"pelvic_nodes": 8.0, "distant_nodes": 10.0}


class LesionSite(Row):
    """Where lesions of a compartment lie: staging region, anatomy class, and how often."""

    region: Region
    anatomy: str
    weight: float


class CtCorrelate(Row):
    """What the CT shows at a focus; ``hu`` is a range, null where nothing is seen."""

    weight: float
    ct_class: CtClass
    ct_correlate: str | None
    hu: tuple[float, float] | None


class MimicRow(Row):
    """A benign focus: how often by tracer, how many, how hot (median, log SD), how large, of what shape, and where."""

    kind: str
    region: Region | None
    prevalence: dict[Tracer, float]
    count: tuple[int, int]
    suvmax: dict[Tracer, tuple[float, float]]
    volume_ml: tuple[float, float]
    category_hint: str
    ct_class: CtClass
    ct_correlate: str | None
    hu: tuple[float, float] | None
    tissues: tuple[str, ...]
    weights: tuple[float, ...]
    paths: tuple[Path, ...]
    spread_mm: float
    upright: bool
    ratios: tuple[float, float]
    source: str


@dataclass(frozen=True)
class Focus:
    """A focus to be placed: in tissue or anatomy class ``target``, or near the standard ``path`` where that is given.

    ``ratios`` are the relative half axes of the ellipsoid before it is turned by ``angles`` (rad, about z and x).
    ``suvmax`` is the true SUV before blur for a lesion, and the peak that the image shows for a benign focus. ``hu`` is
    the density on CT, ``None`` for that of the surroundings. ``region`` is ``None`` where it follows from the anatomy.
    """

    kind: str
    suspicious: bool
    region: Region | None
    target: str | None
    path: Path | None
    spread_mm: float
    volume_ml: float
    ratios: tuple[float, float, float]
    angles: tuple[float, float]
    suvmax: float
    hu: float | None
    ct_class: CtClass
    ct_correlate: str | None
    category_hint: str


@dataclass(frozen=True)
class Disease:
    """All foci of a patient, lesions first; ``confluent`` lets bone lesions touch each other."""

    lesions: tuple[Focus, ...]
    mimics: tuple[Focus, ...]
    confluent: bool

    @property
    def tumour_ml(self) -> float:
        """Volume of all lesions in ml."""
        return sum(lesion.volume_ml for lesion in self.lesions)


@cache
def _table() -> dict[str, Any]:
    return dict(read_table("lesions.json"))


@cache
def _sites(compartment: str) -> tuple[LesionSite, ...]:
    return tuple(LesionSite.model_validate(row) for row in _table()["sites"][compartment])


@cache
def _correlates(kind: str) -> tuple[CtCorrelate, ...]:
    return tuple(CtCorrelate.model_validate(row) for row in _table()["ct"][kind])


@cache
def _mimics() -> tuple[MimicRow, ...]:
    return tuple(MimicRow.model_validate(row) for row in _table()["mimics"])


def lesion_gap_mm() -> float:
    """Return the least distance in mm between the surfaces of two foci that are not confluent."""
    return float(_table()["gap_mm"])


def draw_disease(rng: np.random.Generator, scenario: str, prostate: Prostate, tracer: Tracer) -> Disease:
    """Draw lesions and mimics of a patient; ``scenario`` is one of the ``compartments`` of ``lesions.json``."""
    table = _table()
    patient_log = rng.normal(0, table["suvmax"]["patient_log_sd"])
    lesions: list[Focus] = []
    for compartment, (share, median, log_sd) in table["compartments"][scenario].items():
        affected = rng.random() < share
        count = max(1, round(float(np.exp(rng.normal(np.log(median), log_sd))))) if affected else 0
        lesions += [_draw_lesion(rng, compartment, prostate, tracer, patient_log) for _ in range(count)]
    order = rng.permutation(len(lesions))[: table["max_lesions"]]
    mimics = [focus for row in _mimics() for focus in _draw_mimics(rng, row, tracer)]
    confluent = bool(rng.random() < table["confluent_share"])
    return Disease(tuple(lesions[number] for number in sorted(order)), tuple(mimics), confluent)


def _draw_lesion(
    rng: np.random.Generator, compartment: str, prostate: Prostate, tracer: Tracer, patient_log: float
) -> Focus:
    table = _table()
    sites = _sites(f"local_{prostate}" if compartment == "local" else compartment)
    site = sites[_pick(rng, np.array([one.weight for one in sites]))]
    low, high = table["volume"]["range_ml"]
    volume = float(np.clip(table["volume"]["median_ml"] * np.exp(rng.normal(0, table["volume"]["log_sd"])), low, high))
    ratios, angles = _draw_shape(rng, _LESION_RATIOS)
    ct_class, text, hu = _draw_ct(rng, compartment, volume, ratios)
    return Focus(
        kind="lesion",
        suspicious=True,
        region=site.region,
        target=site.anatomy,
        path=None,
        spread_mm=0.0,
        volume_ml=volume,
        ratios=ratios,
        angles=angles,
        suvmax=_draw_suvmax(rng, tracer, patient_log),
        hu=hu,
        ct_class=ct_class,
        ct_correlate=text,
        category_hint="5" if ct_class == "suspicious" else "4",
    )


def _draw_suvmax(rng: np.random.Generator, tracer: Tracer, patient_log: float) -> float:
    table = _table()["suvmax"]
    low, high = table["range"]
    value = table["median"] * np.exp(patient_log + rng.normal(0, table["lesion_log_sd"]))
    return float(np.clip(value * table["tracer_factor"][tracer], low, high))


def _draw_ct(
    rng: np.random.Generator, compartment: str, volume_ml: float, ratios: tuple[float, float, float]
) -> tuple[CtClass, str | None, float | None]:
    kind = "node" if compartment in _ENLARGED_MM else compartment
    choices = _correlates(kind)
    correlate = choices[_pick(rng, np.array([one.weight for one in choices]))]
    hu = None if correlate.hu is None else float(rng.uniform(*correlate.hu))
    if kind != "node":
        return correlate.ct_class, correlate.ct_correlate, hu
    short = short_axis_mm(volume_ml, ratios)
    enlarged = short >= _ENLARGED_MM[compartment]
    text = f"{'enlarged' if enlarged else 'small'} lymph node, short axis {short:.0f} mm"
    return ("suspicious" if enlarged else "nonspecific"), text, hu


def _draw_mimics(rng: np.random.Generator, row: MimicRow, tracer: Tracer) -> list[Focus]:
    present = rng.random() < row.prevalence[tracer]
    count = int(rng.integers(row.count[0], row.count[1] + 1))
    return [_draw_mimic(rng, row, tracer) for _ in range(count if present else 0)]


def _draw_mimic(rng: np.random.Generator, row: MimicRow, tracer: Tracer) -> Focus:
    median, log_sd = row.suvmax[tracer]
    target = row.tissues[_pick(rng, np.array(row.weights))] if row.tissues else None
    path = row.paths[int(rng.integers(len(row.paths)))] if row.paths else None
    ratios, angles = _draw_shape(rng, row.ratios)
    if row.upright:
        ratios, angles = (ratios[1], ratios[2], 1.0), (angles[0], float(rng.normal(0, _LEAN_RAD)))
    return Focus(
        kind=row.kind,
        suspicious=False,
        region=row.region,
        target=target,
        path=path,
        spread_mm=row.spread_mm,
        volume_ml=float(rng.uniform(*row.volume_ml)),
        ratios=ratios,
        angles=angles,
        suvmax=float(median * np.exp(np.clip(rng.normal(0, log_sd), -2 * log_sd, 2 * log_sd))),
        hu=None if row.hu is None else float(rng.uniform(*row.hu)),
        ct_class=row.ct_class,
        ct_correlate=row.ct_correlate,
        category_hint=row.category_hint,
    )


def short_axis_mm(volume_ml: float, ratios: tuple[float, float, float]) -> float:
    """Return the shortest diameter in mm of an ellipsoid with this volume and these relative axes.

    Example:
        >>> round(short_axis_mm(4.18879, (1.0, 1.0, 1.0)), 2)
        20.0
    """
    radius = (3000 * volume_ml / (4 * np.pi * np.prod(ratios))) ** (1 / 3)
    return float(2 * radius * min(ratios))


def _draw_shape(
    rng: np.random.Generator, shares: tuple[float, float]
) -> tuple[tuple[float, float, float], tuple[float, float]]:
    """Draw an ellipsoid: the longest half axis 1, the others in this range, and how it is turned."""
    ratios = (1.0, float(rng.uniform(*shares)), float(rng.uniform(*shares)))
    return ratios, (float(rng.uniform(0, np.pi)), float(rng.uniform(0, np.pi)))


def _pick(rng: np.random.Generator, weights: NDArray[np.float64]) -> int:
    return int(rng.choice(len(weights), p=weights / weights.sum()))
