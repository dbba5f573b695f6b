"""What a patient has: lesions by compartment, and the benign foci that look like them. Drawn before the anatomy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.exam import CtClass
from fedpsma.domain.region import Region
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.body import Prostate
from fedpsma.phantom.sites import Scenario
from fedpsma.phantom.tables import Point, Row, read_table

Path = tuple[Point, ...]
Ratios = tuple[float, float, float]
Pose = Literal["any", "upright", "flat"]
_LESION_RATIOS = (0.6, 1.0)
# How far a focus with a set pose leans, SD.
_LEAN_RAD = {"upright": 0.35, "flat": 0.1}
# A node counts as enlarged from this short axis on: policy of the PSMA-RADS rules, pelvis and elsewhere.
_ENLARGED_MM = {"N": 8.0, "M": 10.0}


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
    pose: Pose
    ratios: tuple[float, float]
    tag: str
    source: str


class Volumes(Row):
    """Log-normal volume of a lesion in ml, cut to a range; placing clips it, so the plan lies above the published."""

    median_ml: float
    log_sd: float
    range_ml: tuple[float, float]
    tag: str
    source: str


class Suvmax(Row):
    """Log-normal SUVmax of a lesion: one factor for the patient, one for the lesion."""

    median: float
    patient_log_sd: float
    lesion_log_sd: float
    range: tuple[float, float]
    least_contrast: float
    tracer_factor: dict[Tracer, float]
    tag: str
    source: str


class Visible(Row):
    """What a reader sees: uptake above the surroundings in shares of these, and in SDs of the noise there."""

    contrast: float
    noise: float
    tag: str
    source: str


class Confluence(Row):
    """How many patients have bone lesions that run into each other, and how many of these start beside another."""

    share: float
    touching: float
    tag: str
    source: str


class Hints(Row):
    """Below which true SUVmax uptake counts as equivocal (PSMA-RADS 3A, 3B)."""

    faint_suv: float
    unspecific_below_suv: float
    tag: str
    source: str


class Reader(Row):
    """How often a reader's PSMA-RADS category differs from the careful one, and into which it turns."""

    error_range: tuple[float, float]
    confused_with: dict[str, tuple[str, ...]]
    tag: str
    source: str


class LesionTable(Row):
    """``lesions.json``."""

    note: str
    volume: Volumes
    suvmax: Suvmax
    visible: Visible
    burden_log_sd: float
    confluent: Confluence
    max_lesions: int
    gap_mm: float
    hints: Hints
    reader: Reader
    ct: dict[str, tuple[CtCorrelate, ...]]
    ct_source: str
    compartments: dict[Scenario, dict[str, tuple[float, float, float]]]
    compartments_source: str
    sites: dict[str, tuple[LesionSite, ...]]


@dataclass(frozen=True)
class Focus:
    """A focus to be placed: in tissue or anatomy class ``target``, or near the standard ``path`` where that is given.

    ``ratios`` are the relative half axes of the ellipsoid before it is turned by ``angles`` (rad, about z and x).
    ``suvmax`` is the true SUV before blur for a lesion, and the peak that the image shows for a benign focus. ``hu`` is
    the density on CT, ``None`` for that of the surroundings. ``region`` is ``None`` where it follows from the anatomy.
    ``category_hint`` is the PSMA-RADS category a careful reader would give, ``category_read`` the one a reader gave.
    """

    kind: str
    suspicious: bool
    region: Region | None
    target: str | None
    path: Path | None
    spread_mm: float
    volume_ml: float
    ratios: Ratios
    angles: tuple[float, float]
    suvmax: float
    hu: float | None
    ct_class: CtClass
    ct_correlate: str | None
    category_hint: str
    category_read: str


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
def lesion_table() -> LesionTable:
    """Return ``lesions.json``."""
    return LesionTable.model_validate(read_table("lesions.json"))


@cache
def mimic_rows() -> tuple[MimicRow, ...]:
    """Return the benign foci of ``mimics.json``."""
    return tuple(MimicRow.model_validate(row) for row in read_table("mimics.json")["mimics"])


def draw_disease(rng: np.random.Generator, scenario: Scenario, prostate: Prostate, tracer: Tracer) -> Disease:
    """Draw lesions and benign foci of a patient; everybody has at least one benign focus.

    Lesions of a patient share a factor on their uptake, his compartments a factor on their counts.
    """
    table = lesion_table()
    patient_log, burden = rng.normal(0, table.suvmax.patient_log_sd), rng.normal(0, table.burden_log_sd)
    lesions: list[Focus] = []
    for compartment, (share, median, log_sd) in table.compartments[scenario].items():
        affected = rng.random() < share
        drawn = round(float(median * np.exp(burden + rng.normal(0, log_sd))))
        count = min(max(1, drawn), table.max_lesions) if affected else 0
        lesions += [_draw_lesion(rng, compartment, prostate, tracer, patient_log) for _ in range(count)]
    kept = sorted(rng.permutation(len(lesions))[: table.max_lesions])
    mimics = [focus for row in mimic_rows() for focus in _draw_mimics(rng, row, tracer)]
    if not mimics:
        commonest = max(mimic_rows(), key=lambda row: row.prevalence[tracer])
        mimics = [_draw_mimic(rng, commonest, tracer)]
    confluent = bool(rng.random() < table.confluent.share)
    return _as_read(rng, Disease(tuple(lesions[number] for number in kept), tuple(mimics), confluent))


def _as_read(rng: np.random.Generator, disease: Disease) -> Disease:
    """Let a reader name every focus; he errs at a rate of his own."""
    reader = lesion_table().reader
    rate = rng.uniform(*reader.error_range)

    def read(focus: Focus) -> Focus:
        others = reader.confused_with[focus.category_hint]
        wrong = others[int(rng.integers(len(others)))]
        return replace(focus, category_read=wrong if rng.random() < rate else focus.category_hint)

    lesions, mimics = (tuple(read(focus) for focus in foci) for foci in (disease.lesions, disease.mimics))
    return replace(disease, lesions=lesions, mimics=mimics)


def _draw_lesion(
    rng: np.random.Generator, compartment: str, prostate: Prostate, tracer: Tracer, patient_log: float
) -> Focus:
    table = lesion_table()
    sites = table.sites[f"local_{prostate}" if compartment == "local" else compartment]
    site = sites[_pick(rng, np.array([one.weight for one in sites]))]
    volume = table.volume.median_ml * np.exp(rng.normal(0, table.volume.log_sd))
    volume = float(np.clip(volume, *table.volume.range_ml))
    ratios, angles = _draw_shape(rng, _LESION_RATIOS)
    suvmax = _draw_suvmax(rng, tracer, patient_log)
    ct_class, text, hu = _draw_ct(rng, compartment, site.region, volume, ratios)
    hint = _category(site.region, ct_class, suvmax, tracer)
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
        suvmax=suvmax,
        hu=hu,
        ct_class=ct_class,
        ct_correlate=text,
        category_hint=hint,
        category_read=hint,
    )


def _draw_suvmax(rng: np.random.Generator, tracer: Tracer, patient_log: float) -> float:
    table = lesion_table().suvmax
    value = table.median * np.exp(patient_log + rng.normal(0, table.lesion_log_sd))
    return float(np.clip(value * table.tracer_factor[tracer], *table.range))


def _category(region: Region, ct_class: CtClass, suvmax: float, tracer: Tracer) -> str:
    """Return the PSMA-RADS category that a careful reader gives to a metastasis or a primary."""
    hints = lesion_table().hints
    if region.is_bone and ct_class == "none" and tracer.facts.unspecific_bone_uptake:
        faint = suvmax < hints.unspecific_below_suv
    else:
        faint = suvmax < hints.faint_suv
    if not faint:
        return "5" if ct_class == "suspicious" else "4"
    if region.is_bone:
        return "3B"
    if region.is_node or region.facts.mitnm_axis == "T":
        return "3A"
    return "3D" if ct_class == "suspicious" else "2"


def _draw_ct(
    rng: np.random.Generator, compartment: str, region: Region, volume_ml: float, ratios: Ratios
) -> tuple[CtClass, str | None, float | None]:
    choices = lesion_table().ct["node" if region.is_node else compartment]
    correlate = choices[_pick(rng, np.array([one.weight for one in choices]))]
    hu = None if correlate.hu is None else float(rng.uniform(*correlate.hu))
    if region.is_node:
        return *_node_finding(region, volume_ml, ratios), hu
    return correlate.ct_class, correlate.ct_correlate, hu


def _node_finding(region: Region, volume_ml: float, ratios: Ratios) -> tuple[CtClass, str]:
    """Return what the CT says of a node of this size."""
    short = short_axis_mm(volume_ml, ratios)
    enlarged = short >= _ENLARGED_MM["N" if region.facts.mitnm_axis == "N" else "M"]
    text = f"{'enlarged' if enlarged else 'small'} lymph node, short axis {short:.0f} mm"
    return ("suspicious" if enlarged else "nonspecific"), text


def resized(focus: Focus, volume_ml: float) -> Focus:
    """Return a lesion with another volume; what the CT says of the size of a node, and its category, go with it."""
    focus = replace(focus, volume_ml=volume_ml)
    if focus.region is None or not focus.region.is_node or not focus.suspicious:
        return focus
    ct_class, text = _node_finding(focus.region, volume_ml, focus.ratios)
    hint = {"4": "5", "5": "4"}.get(focus.category_hint, focus.category_hint)
    if (ct_class == "suspicious") == (focus.ct_class == "suspicious"):
        hint = focus.category_hint
    read = hint if focus.category_read == focus.category_hint else focus.category_read
    return replace(focus, ct_class=ct_class, ct_correlate=text, category_hint=hint, category_read=read)


def _draw_mimics(rng: np.random.Generator, row: MimicRow, tracer: Tracer) -> list[Focus]:
    present = rng.random() < row.prevalence[tracer]
    count = int(rng.integers(row.count[0], row.count[1] + 1))
    return [_draw_mimic(rng, row, tracer) for _ in range(count if present else 0)]


def _draw_mimic(rng: np.random.Generator, row: MimicRow, tracer: Tracer) -> Focus:
    median, log_sd = row.suvmax[tracer]
    target = row.tissues[_pick(rng, np.array(row.weights))] if row.tissues else None
    path = row.paths[int(rng.integers(len(row.paths)))] if row.paths else None
    ratios, angles = _draw_shape(rng, row.ratios)
    if row.pose != "any":
        ratios = (ratios[1], ratios[2], 1.0) if row.pose == "upright" else (1.0, 1.0, ratios[1])
        angles = (angles[0], float(rng.normal(0, _LEAN_RAD[row.pose])))
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
        category_read=row.category_hint,
    )


def short_axis_mm(volume_ml: float, ratios: Ratios) -> float:
    """Return the shortest diameter in mm of an ellipsoid with this volume and these relative axes.

    Example:
        >>> round(short_axis_mm(4.18879, (1.0, 1.0, 1.0)), 2)
        20.0
    """
    radius = (3000 * volume_ml / (4 * np.pi * np.prod(ratios))) ** (1 / 3)
    return float(2 * radius * min(ratios))


def _draw_shape(rng: np.random.Generator, shares: tuple[float, float]) -> tuple[Ratios, tuple[float, float]]:
    """Draw an ellipsoid: the longest half axis 1, the others in this range, and how it is turned."""
    ratios = (1.0, float(rng.uniform(*shares)), float(rng.uniform(*shares)))
    return ratios, (float(rng.uniform(0, np.pi)), float(rng.uniform(0, np.pi)))


def _pick(rng: np.random.Generator, weights: NDArray[np.float64]) -> int:
    return int(rng.choice(len(weights), p=weights / weights.sum()))
