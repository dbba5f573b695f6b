"""What real studies show: ``data/realism.json`` as checked records."""

from __future__ import annotations

from functools import cache
from typing import Literal

from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.tables import Row, read_table

Range = tuple[float, float]
Measure = Literal["mean", "mean_gt3", "mean_trunc3", "median_trunc3"]


class CohortMix(Row):
    """Which sites make the patients of a tracer, by share, and on which grid where not on their own."""

    note: str
    tracers: dict[Tracer, dict[str, float]]
    spacing_mm: dict[str, float]


class OrganMask(Row):
    """An organ as organ maps know it: its tissues of the phantom, one side of them, all of it or its core."""

    name: str
    tissues: tuple[str, ...]
    side: Literal["left", "right"] | None
    part: Literal["whole", "core"]
    note: str


class SuvRow(Row):
    """Cohort mean and SD of a measure of one organ; a range lies between sources, ``None`` is not known.

    ``furosemide`` limits the row to patients who had it, or had not.
    """

    organ: str
    tracer: Tracer
    measure: Measure
    mean: Range
    sd: Range | None
    tag: str
    source: str
    furosemide: bool | None = None


class SuvTargets(Row):
    """Organ uptake, with the relative tolerances of mean and SD."""

    note: str
    mean_tolerance: float
    sd_tolerance: float
    rows: tuple[SuvRow, ...]


class NoiseFamily(Row):
    """Liver noise of one family of scanners; ``acf`` holds lag in mm, lowest and highest autocorrelation."""

    name: str
    sites: tuple[str, ...]
    cv: float
    acf: tuple[tuple[float, float, float], ...]
    tag: str
    source: str


class RobustNoise(Row):
    """Robust coefficient of variation of the whole liver by site, for one tracer."""

    tracer: Tracer
    sites: dict[str, float]
    tag: str
    source: str


class NoiseTargets(Row):
    """Liver noise in a sphere; autocorrelations below ``low`` are held to ``tolerance_low``, which is absolute."""

    radius_mm: float
    tolerance: float
    tolerance_low: float
    low: float
    families: tuple[NoiseFamily, ...]
    robust: RobustNoise


class VolumeTargets(Row):
    """Quartiles of the true lesion volume in ml."""

    quartiles: tuple[float, float, float]
    tolerance: float
    tag: str
    source: str


class RecoveryTargets(Row):
    """Recovery coefficients of NEMA spheres; ``limits`` bars some, by diameter in mm."""

    note: str
    sites: tuple[str, ...]
    contrast: float
    limits: dict[int, Range]
    tag: str
    source: str


class GeometryRow(Row):
    """One volume (ml) or centroid coordinate (mm) of the real cohort at the levels of the table."""

    name: str
    barred: bool
    quantiles: tuple[float, ...]
    mean: float
    sd: float


class GeometryTargets(Row):
    """Organ volumes and places; ``levels`` are the percentages of the quantiles, ``limit`` bars the KS distance."""

    note: str
    limit: float
    levels: tuple[int, ...]
    tissues: dict[str, tuple[str, ...]]
    tag: str
    source: str
    rows: tuple[GeometryRow, ...]


class ClassifierTargets(Row):
    """The two-sample classifier: reference name to organ, groups to tracer."""

    organs: dict[str, str]
    left_out: dict[str, str]
    groups: dict[str, Tracer]
    auc_limit: float
    repeats: int
    tag: str
    source: str


class CostTargets(Row):
    """Time and peak memory of one patient."""

    site: str
    spacing_mm: float
    patients: int
    seconds: float
    memory_mib: float
    tag: str
    source: str


class RealismTargets(Row):
    """All of ``realism.json``; ``sources`` explains the short names of sources."""

    note: str
    sources: dict[str, str]
    cohort: CohortMix
    organs: tuple[OrganMask, ...]
    organ_suv: SuvTargets
    noise: NoiseTargets
    lesion_volume_ml: VolumeTargets
    recovery: RecoveryTargets
    geometry: GeometryTargets
    classifier: ClassifierTargets
    cost: CostTargets


@cache
def targets() -> RealismTargets:
    """Return the targets.

    Example:
        >>> targets().lesion_volume_ml.quartiles
        (0.6, 1.3, 3.0)
    """
    return RealismTargets.model_validate(read_table("realism.json"))
