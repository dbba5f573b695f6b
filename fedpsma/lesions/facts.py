"""What is known of a focus when it is judged: what the network saw, and what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.region import Region
from fedpsma.domain.study import Study, VoxelPrediction, ct_reaches
from fedpsma.domain.tracer import Tracer
from fedpsma.lesions.contours import OrganUptake
from fedpsma.lesions.foci import Focus
from fedpsma.lesions.geometry import Box, Mask, enlarged, grown, voxels_in
from fedpsma.lesions.locate import Place, hot_core
from fedpsma.lesions.references import References

_SHELL_MM = 8.0
FAR_MM = 40.0
_LEAST_PROBABILITY = 1e-4
_NOT_A_NEIGHBOUR = ("rectum", "liver", "spleen")


@dataclass(frozen=True)
class Facts:
    """The facts of one focus; ``None`` where one cannot be measured.

    ``network`` and ``network_peak`` are log-odds of the network's suspicion, as a mean over the hot core and at its
    highest, ``physiological`` those of normal uptake. ``suvmax`` and the ratios ``to_liver``, ``to_blood_pool`` and
    ``to_shell`` (the mean of the tissue within 8 mm round the core) are of SUVmax, as are the logarithms taken of them
    when they are judged. ``core_ml`` is the volume of at least half the maximum, ``distance_mm`` the way from the
    hottest voxel to the nearest organ with normal uptake, 40 at most, ``hu`` the mean attenuation of the core.
    ``elongation`` is the longest over the shortest extent of the core (standard deviations along its principal axes).
    ``prominence`` is the fraction by which the saddle to a hotter focus lies below the top, ``None`` without one.
    """

    tracer: Tracer | None
    region: Region
    network: float
    network_peak: float
    physiological: float
    suvmax: float
    core_ml: float
    elongation: float
    distance_mm: float
    to_shell: float | None = None
    to_liver: float | None = None
    to_blood_pool: float | None = None
    hu: float | None = None
    prominence: float | None = None


def facts_of(focus: Focus, where: Place, study: Study, prediction: VoxelPrediction, references: References) -> Facts:
    """Gather the facts of one focus."""
    core = hot_core(focus, study.pet)
    suspicious = prediction.suspicious[focus.box][core]
    normal = prediction.physiological[focus.box][core]
    return Facts(
        tracer=study.tracer,
        region=where.region,
        network=log_odds(float(suspicious.mean(dtype=np.float64))),
        network_peak=log_odds(float(suspicious.max())),
        physiological=log_odds(float(normal.mean(dtype=np.float64))),
        suvmax=focus.suvmax,
        core_ml=float(core.sum()) * study.voxel_ml,
        elongation=_elongation(core, study.spacing_mm),
        distance_mm=_distance_to_normal_organ(focus, study, prediction),
        to_shell=_ratio(focus.suvmax, _shell_mean(core, focus.box, study)),
        to_liver=_over(focus, references.liver),
        to_blood_pool=_over(focus, references.blood_pool),
        hu=_attenuation(study, focus, core),
        prominence=focus.prominence,
    )


def _attenuation(study: Study, focus: Focus, core: Mask) -> float | None:
    """Return the mean attenuation of a core; ``None`` where no CT was taken."""
    if study.ct is None or not ct_reaches(study.ct[focus.box][core]):
        return None
    return float(study.ct[focus.box][core].mean(dtype=np.float64))


def log_odds(probability: float) -> float:
    """Return log(p / (1 - p)), with p kept 1e-4 away from 0 and 1.

    Example:
        >>> log_odds(0.5), round(log_odds(0.0), 2)
        (0.0, -9.21)
    """
    kept = min(max(probability, _LEAST_PROBABILITY), 1 - _LEAST_PROBABILITY)
    return math.log(kept / (1 - kept))


def _over(focus: Focus, organ: OrganUptake | None) -> float | None:
    return None if organ is None else _ratio(focus.suvmax, organ.mean)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _shell_mean(core: Mask, box: Box, study: Study) -> float:
    """Return the mean SUV within 8 mm of the core, without the nearest 4 mm, which it spills into."""
    around = grown(box, voxels_in(_SHELL_MM, study.spacing_mm), study.pet.shape)
    away = ndimage.distance_transform_edt(~enlarged(core, box, around), sampling=study.spacing_mm)
    shell = (away > _SHELL_MM / 2) & (away <= _SHELL_MM)
    return float(study.pet[around][shell].mean(dtype=np.float64)) if shell.any() else 0.0


def _elongation(core: Mask, spacing_mm: tuple[float, float, float]) -> float:
    """Return the square root of the largest over the smallest eigenvalue of the core's second moments.

    Each voxel counts as the box that it is, so that a single one has a shape too.
    """
    steps = np.asarray(spacing_mm)
    points = np.argwhere(core) * steps
    away = points - points.mean(axis=0)
    moments = away.T @ away / len(points) + np.diag(steps**2 / 12)
    values = np.linalg.eigvalsh(moments)
    return float(np.sqrt(values[-1] / values[0]))


def _distance_to_normal_organ(focus: Focus, study: Study, prediction: VoxelPrediction) -> float:
    x, y, z = (slice(at, at + 1) for at in focus.peak)
    around = grown((x, y, z), voxels_in(FAR_MM, study.spacing_mm), study.pet.shape)
    cells = np.argwhere(_normal_organs()[prediction.anatomy[around]])
    if not len(cells):
        return FAR_MM
    at = np.array(focus.peak) - [side.start for side in around]
    away = (cells - at) * study.spacing_mm
    return float(min(FAR_MM, np.sqrt((away**2).sum(axis=1).min())))


@cache
def _normal_organs() -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell by class number which anatomy takes the tracer up by nature, the large smooth organs left aside."""
    classes = anatomy_classes()
    return np.array([one.region is Region.PHYSIOLOGIC and one.name not in _NOT_A_NEIGHBOUR for one in classes])
