"""Left, right or middle: seen from the patient's own midline, never from the middle of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.anatomy import anatomy_number
from fedpsma.domain.region import Region, Side
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.lesions.geometry import world_mm
from fedpsma.lesions.policy import policy

_ON_THE_MIDLINE = ("cervical_spine", "thoracic_spine", "lumbar_spine", "sacrum", "sternum")
_LEAST_LEVELS = 5
# A vertebra fills ten times as much of an axial level, a sternum three times.
_LEAST_BONE_MM2 = 100.0
# Narrower than a trunk: one of two legs, or a head, whose middle need not be that of the patient.
_LEAST_TRUNK_MM = 250.0
# A second stretch of the body this large beside the longest is the other leg.
_OTHER_LEG_SHARE = 0.5
_BODY_SUV = 0.2
_ROUNDS = 10
_TOLERANCE_MM = 5.0
# A patient lies within a few degrees of straight: the weight, in mm squared, of that expectation against the points.
_STRAIGHT_MM2 = 1e4


@dataclass(frozen=True)
class Midline:
    """The patient's sagittal plane: ``x = offset + per_y * y + per_z * z`` in patient coordinates (mm)."""

    offset: float
    per_y: float
    per_z: float

    def right_of(self, point_mm: NDArray[np.float64]) -> float:
        """Return how far a point (right, anterior, superior) lies to the patient's right, in mm; left is negative.

        Example:
            >>> Midline(10.0, 0.0, 0.0).right_of(np.array([-5.0, 0.0, 0.0]))
            -15.0
        """
        x, y, z = point_mm
        return float(
            (x - self.offset - self.per_y * y - self.per_z * z) / np.hypot(1.0, np.hypot(self.per_y, self.per_z))
        )


def find_midline(study: Study, prediction: VoxelPrediction) -> Midline | None:
    """Fit the sagittal plane to spine, sacrum and sternum, or to the outline of the body where no bone is seen.

    ``None`` where neither covers enough axial levels.
    """
    points = _bone_points(study, prediction)
    if len(points) < _LEAST_LEVELS:
        points = _body_points(study)
    return None if len(points) < _LEAST_LEVELS else _fit(points)


def side_of(region: Region, point_mm: NDArray[np.float64], midline: Midline | None) -> Side | None:
    """Return the side of a focus among those that its region allows; ``None`` where it cannot be told.

    ``point_mm`` is the middle of the focus in patient coordinates (right, anterior, superior).
    """
    legal = region.facts.sides
    if legal == ("M",):
        return "M"
    if midline is None or not legal:
        return None
    limits = policy().sides
    distance = midline.right_of(point_mm)
    if region is Region.LIVER and 0.0 < distance < limits.right_lobe_from_mm:
        return None
    if "M" in legal and abs(distance) <= limits.midline_mm:
        return "M"
    if abs(distance) <= limits.ambiguous_mm:
        return None
    return "R" if distance > 0 else "L"


def _bone_points(study: Study, prediction: VoxelPrediction) -> NDArray[np.float64]:
    """Return the middle of each midline bone at each axial level that shows enough of it (n, 3), in mm."""
    rank = np.zeros(256, dtype=np.intp)
    rank[[anatomy_number(name) for name in _ON_THE_MIDLINE]] = np.arange(1, len(_ON_THE_MIDLINE) + 1)
    x, y, z = np.nonzero((rank > 0)[prediction.anatomy])
    group = (rank[prediction.anatomy[x, y, z]] - 1) * study.pet.shape[2] + z
    count = np.bincount(group)
    x_mm, y_mm, _ = study.spacing_mm
    seen = count >= max(1.0, _LEAST_BONE_MM2 / (x_mm * y_mm))
    centres = [np.bincount(group, weights=axis)[seen] / count[seen] for axis in (x, y, z)]
    return world_mm(study.affine, np.column_stack(centres))


def _body_points(study: Study) -> NDArray[np.float64]:
    """Return the middle between the edges of the trunk at each axial level that shows it whole (n, 3), in mm."""
    body = study.pet > _BODY_SUV
    width, depth = np.asarray(body.any(axis=1)), np.asarray(body.any(axis=0))
    least = _LEAST_TRUNK_MM / study.spacing_mm[0]
    levels = [z for z in np.flatnonzero(width.any(axis=0)) if _is_trunk(width[:, z], least)]
    middles = [[_middle(width[:, z]), _middle(depth[:, z]), float(z)] for z in levels]
    return world_mm(study.affine, np.array(middles).reshape(-1, 3))


def _is_trunk(line: NDArray[np.bool_], least: float) -> bool:
    """Tell whether the longest stretch is wide enough, ends inside the image and has no equal beside it."""
    starts, stops = _stretches(line)
    widths = np.sort(stops - starts)
    longest = int((stops - starts).argmax())
    whole = starts[longest] > 0 and stops[longest] < line.size
    return bool(whole and widths[-1] >= least and (widths.size < 2 or widths[-2] < _OTHER_LEG_SHARE * widths[-1]))


def _stretches(line: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the unbroken stretches of a line start and stop."""
    edges = np.flatnonzero(np.diff(np.pad(line, 1)))
    return edges[::2], edges[1::2]


def _middle(line: NDArray[np.bool_]) -> float:
    """Return the middle of the longest unbroken stretch: noise or an arm beside the trunk does not count."""
    starts, stops = _stretches(line)
    longest = int((stops - starts).argmax())
    return float(starts[longest] + stops[longest] - 1) / 2.0


def _fit(points: NDArray[np.float64]) -> Midline:
    """Fit the plane by least squares, weighing down what lies off it (Huber): a scoliosis, a wrong label."""
    middle = points.mean(axis=0)
    y, z = points[:, 1] - middle[1], points[:, 2] - middle[2]
    design = np.column_stack([np.ones(len(points)), y, z])
    straight = np.diag([0.0, _STRAIGHT_MM2, _STRAIGHT_MM2])
    weights = np.ones(len(points))
    for _ in range(_ROUNDS):
        weighted = design * weights[:, None]
        offset, per_y, per_z = np.linalg.solve(weighted.T @ design + straight, weighted.T @ points[:, 0])
        residual = np.abs(points[:, 0] - design @ np.array([offset, per_y, per_z]))
        weights = np.minimum(1.0, _TOLERANCE_MM / np.maximum(residual, 1e-9))
    return Midline(float(offset - per_y * middle[1] - per_z * middle[2]), float(per_y), float(per_z))
