"""What a data set holds: counts and distributions over its studies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.contour import ContourConvention
from fedpsma.domain.tracer import Tracer
from fedpsma.io.dataset import DatasetInfo
from fedpsma.site_check.contours import outline_habit
from fedpsma.site_check.facts import OrganSuv
from fedpsma.site_check.problems import CheckedStudy


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(_Record):
    """How ``count`` values spread: least, quartiles, largest."""

    count: int
    least: float
    q25: float
    median: float
    q75: float
    largest: float


class TracerSummary(_Record):
    """Studies of one tracer (``None``: unknown) and their uptake (SUV); ``None`` where it was found in no study."""

    tracer: Tracer | None
    studies: int
    liver: Spread | None
    blood_pool: Spread | None
    body_mean: Spread | None


class ContourSummary(_Record):
    """The declared contour convention and, from enough lesions, the SUV at which their outlines run.

    ``suggested`` is the fixed or relative threshold that they follow closely, ``None`` where they follow none.
    """

    declared: ContourConvention
    suggested: ContourConvention | None
    lesions: int
    edge_suv: float | None
    edge_fraction: float | None


class StudySummary(_Record):
    """One study in numbers; ``None`` is not known. Volumes in ml, lengths in mm, uptake in SUV (g/ml) if ``is_suv``."""

    id: str
    patient: str
    tracer: Tracer | None
    scanner: str | None
    spacing_mm: tuple[float, float, float] | None
    length_mm: float | None
    is_suv: bool
    maximum: float | None
    body_mean: float | None
    liver: OrganSuv | None
    blood_pool: OrganSuv | None
    body_overlap: float | None
    lesion_ml: tuple[float, ...] | None
    lesion_suvmax: tuple[float, ...] | None


class DatasetSummary(_Record):
    """The data set in numbers; ``studies_per_patient`` counts patients by how many studies they have."""

    patients: int
    studies: int
    studies_per_patient: dict[int, int]
    with_ct: int
    with_mask: int
    without_lesion: int
    scanners: dict[str, int]
    voxel_sizes: dict[str, int]
    length_mm: Spread | None
    lesions: int
    lesions_per_study: Spread | None
    lesion_ml: Spread | None
    lesion_suvmax: Spread | None
    tracers: tuple[TracerSummary, ...]
    contour: ContourSummary


def summarise_study(study: CheckedStudy) -> StudySummary:
    """Return the figures of one study."""
    pet, mask, ct = study.facts.pet, study.facts.mask, study.facts.ct
    return StudySummary(
        id=study.row.id,
        patient=study.row.patient,
        tracer=study.tracer,
        scanner=study.row.scanner,
        spacing_mm=None if pet is None else _rounded(pet.spacing_mm),
        length_mm=None if pet is None else round(pet.field_mm[2], 1),
        is_suv=study.is_suv,
        maximum=None if pet is None else pet.maximum,
        body_mean=None if pet is None else pet.body_mean,
        liver=study.liver,
        blood_pool=study.blood_pool,
        body_overlap=None if ct is None else ct.body_overlap,
        lesion_ml=None if mask is None else tuple(one.volume_ml for one in mask.lesions),
        lesion_suvmax=None if mask is None else tuple(one.suvmax for one in mask.lesions),
    )


def summarise(info: DatasetInfo, studies: Sequence[CheckedStudy]) -> DatasetSummary:
    """Return the figures of the whole data set."""
    rows = [summarise_study(study) for study in studies]
    masks = [row.lesion_ml for row in rows if row.lesion_ml is not None]
    of_patient = Counter(row.patient for row in rows)
    sizes = Counter(" x ".join(f"{edge:.4g}" for edge in row.spacing_mm) for row in rows if row.spacing_mm)
    return DatasetSummary(
        patients=len(of_patient),
        studies=len(rows),
        studies_per_patient=dict(sorted(Counter(of_patient.values()).items())),
        with_ct=sum(study.row.ct is not None for study in studies),
        with_mask=len(masks),
        without_lesion=sum(not mask for mask in masks),
        scanners=_by_count(Counter(row.scanner for row in rows if row.scanner)),
        voxel_sizes=_by_count(sizes),
        length_mm=spread(row.length_mm for row in rows if row.length_mm is not None),
        lesions=sum(map(len, masks)),
        lesions_per_study=spread(map(len, masks)),
        lesion_ml=spread(volume for mask in masks for volume in mask),
        lesion_suvmax=spread(one for row in rows if row.is_suv for one in row.lesion_suvmax or ()),
        tracers=tuple(_of_tracer(tracer, rows) for tracer in _tracers(rows)),
        contour=_contour(info, studies),
    )


def spread(values: Iterable[float]) -> Spread | None:
    """Return how values spread; ``None`` where there is none.

    Example:
        >>> spread([1, 2, 3]).median
        2.0
    """
    known = np.array(list(values), dtype=np.float64)
    if not known.size:
        return None
    least, q25, median, q75, largest = (float(one) for one in np.quantile(known, [0.0, 0.25, 0.5, 0.75, 1.0]))
    return Spread(count=known.size, least=least, q25=q25, median=median, q75=q75, largest=largest)


def _of_tracer(tracer: Tracer | None, rows: list[StudySummary]) -> TracerSummary:
    mine = [row for row in rows if row.tracer == tracer]
    return TracerSummary(
        tracer=tracer,
        studies=len(mine),
        liver=spread(row.liver.mean for row in mine if row.liver is not None),
        blood_pool=spread(row.blood_pool.mean for row in mine if row.blood_pool is not None),
        body_mean=spread(row.body_mean for row in mine if row.is_suv and row.body_mean is not None),
    )


def _tracers(rows: list[StudySummary]) -> list[Tracer | None]:
    found = {row.tracer for row in rows}
    known: list[Tracer | None] = [tracer for tracer in Tracer if tracer in found]
    return [*known, None] if None in found else known


def _contour(info: DatasetInfo, studies: Sequence[CheckedStudy]) -> ContourSummary:
    habit = outline_habit(studies)
    return ContourSummary(
        declared=info.contour,
        suggested=None if habit is None else habit.suggested,
        lesions=0 if habit is None else habit.lesions,
        edge_suv=None if habit is None else habit.edge_suv,
        edge_fraction=None if habit is None else habit.fraction,
    )


def _by_count(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _rounded(edges: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = (round(edge, 4) for edge in edges)
    return x, y, z
