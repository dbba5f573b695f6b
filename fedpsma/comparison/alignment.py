"""Aligns two studies of one patient with SimpleITK: rigidly, then by a coarse free-form deformation (B-splines)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import Affine, FloatVolume, Study

if TYPE_CHECKING:
    import SimpleITK

Points = NDArray[np.float64]

_GRID_MM = 5.0
_CT_WINDOW_HU = (-200.0, 300.0)
_SUV_TOP = 10.0
_CT_BODY_HU = -300.0
_SUV_BODY = 0.2
_BODY_SHARE = 0.002
_SAMPLED = 0.02
_SEED = 20_210
_BINS = 32
_STARTS_MM = tuple(range(-240, 241, 40))
_RIGID_STEPS = 80
_MESH_MM = 150.0
_DEFORM_STEPS = 8
_INVERSE_STEPS = 12


@dataclass(frozen=True)
class Alignment:
    """Leads from the millimetres of the later study to those of the earlier one.

    ``modality`` is what was aligned: CT or PET.
    """

    transform: Any
    modality: str

    def to_earlier(self, points_mm: Points) -> Points:
        """Map points (n, 3) of the later study into the earlier one."""
        found = [self.transform.TransformPoint(tuple(map(float, one))) for one in points_mm]
        return np.asarray(found, dtype=np.float64).reshape(-1, 3)

    def to_later(self, points_mm: Points) -> Points:
        """Map points (n, 3) of the earlier study into the later one, by fixed-point iteration of the other way."""
        goal = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        found = goal.copy()
        for _ in range(_INVERSE_STEPS):
            found = found + goal - self.to_earlier(found)
        return found


def align(earlier: Study, later: Study) -> Alignment:
    """Align two studies, first rigidly, then by a deformation; CT leads where both have one, else PET.

    The second step gains nothing where the body only lies otherwise, and much where it is bent: ``benchmarks/compare.py
    --bend 12`` with and without ``--rigid`` shows it.
    """
    fixed, moving, modality = _images(earlier, later)
    return Alignment(_deformed(fixed, moving, _rigid(fixed, moving)), modality)


def align_rigidly(earlier: Study, later: Study) -> Alignment:
    """Align two studies by a turn and a shift alone."""
    fixed, moving, modality = _images(earlier, later)
    return Alignment(_rigid(fixed, moving), modality)


def _images(earlier: Study, later: Study) -> tuple[SimpleITK.Image, SimpleITK.Image, str]:
    by_ct = earlier.ct is not None and later.ct is not None
    fixed, moving = (_image(one, by_ct=by_ct) for one in (later, earlier))
    return fixed, moving, "CT" if by_ct else "PET"


def _image(study: Study, *, by_ct: bool) -> SimpleITK.Image:
    """Return what is aligned, the body on a coarse grid: bounded so that metal and hot organs do not lead."""
    from scipy import ndimage

    source = study.ct if by_ct and study.ct is not None else study.pet
    low, high = _CT_WINDOW_HU if by_ct else (0.0, _SUV_TOP)
    corner, body = _body(source, _CT_BODY_HU if by_ct else _SUV_BODY)
    bounded = np.clip(body, low, high)
    values = bounded if by_ct else np.sqrt(bounded)
    strides = [max(round(_GRID_MM / step), 1) for step in study.spacing_mm]
    blurred = ndimage.gaussian_filter(values, [0.4 * (stride - 1) for stride in strides])
    affine = study.affine @ np.diag([*strides, 1.0])
    affine[:3, 3] = study.affine[:3, :3] @ corner + study.affine[:3, 3]
    return _as_image(blurred[tuple(slice(None, None, stride) for stride in strides)], affine)


def _body(values: FloatVolume, least: float) -> tuple[NDArray[np.intp], FloatVolume]:
    """Cut the air beside the body away, so that it costs no time; return the first voxel and the rest."""
    inside = values > least
    slices = []
    for axis in range(3):
        others = tuple(one for one in range(3) if one != axis)
        found = np.flatnonzero(inside.mean(axis=others) > _BODY_SHARE)
        slices.append(slice(int(found[0]), int(found[-1]) + 1) if found.size > 1 else slice(None))
    corner = np.array([one.start or 0 for one in slices], dtype=np.intp)
    return corner, values[tuple(slices)]


def _as_image(values: FloatVolume, affine: Affine) -> SimpleITK.Image:
    """Return an image of SimpleITK in the millimetres of the affine; its arrays run z, y, x."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.T, dtype=np.float32))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing([float(one) for one in spacing])
    image.SetOrigin([float(one) for one in affine[:3, 3]])
    image.SetDirection([float(one) for one in (affine[:3, :3] / spacing).ravel()])
    return image


def _rigid(fixed: SimpleITK.Image, moving: SimpleITK.Image) -> SimpleITK.Transform:
    """Turn and shift; several places along the body are tried, since two fields of view may differ much."""
    import SimpleITK

    centred = SimpleITK.CenteredTransformInitializer(
        fixed, moving, SimpleITK.Euler3DTransform(), SimpleITK.CenteredTransformInitializerFilter.GEOMETRY
    )
    start = SimpleITK.Euler3DTransform(centred)
    base = np.array(start.GetTranslation())
    scores = {}
    for shift in _STARTS_MM:
        start.SetTranslation([float(one) for one in base + np.array([0, 0, shift])])
        scores[shift] = _score(fixed, moving, start)
    best = min(scores, key=lambda shift: scores[shift])
    start.SetTranslation([float(one) for one in base + np.array([0, 0, best])])
    method = _method()
    method.SetShrinkFactorsPerLevel([3, 1])
    method.SetSmoothingSigmasPerLevel([2.0, 0.0])
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=4.0, minStep=0.01, numberOfIterations=_RIGID_STEPS, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(fixed, moving)
    return start


def _score(fixed: SimpleITK.Image, moving: SimpleITK.Image, transform: SimpleITK.Transform) -> float:
    """Return the metric (smaller is better); infinite where the images hardly overlap."""
    method = _method()
    method.SetMetricSamplingPercentage(_SAMPLED / 4, _SEED)
    method.SetInitialTransform(transform, inPlace=False)
    try:
        return float(method.MetricEvaluate(fixed, moving))
    except RuntimeError:  # too few samples fall into both images
        return float("inf")


def _method() -> Any:
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLED, _SEED)
    method.SetInterpolator(SimpleITK.sitkLinear)
    return method


def _deformed(fixed: SimpleITK.Image, moving: SimpleITK.Image, rigid: SimpleITK.Transform) -> SimpleITK.Transform:
    """Let organs follow breathing and posture, no finer than a few centimetres: lesions shall not be bent to fit."""
    import SimpleITK

    extent = [size * step for size, step in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)]
    mesh = [max(round(one / _MESH_MM), 2) for one in extent]
    spline = SimpleITK.BSplineTransformInitializer(fixed, mesh, order=3)
    method = _method()
    method.SetMovingInitialTransform(rigid)
    method.SetInitialTransform(spline, inPlace=True)
    method.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-5, numberOfIterations=_DEFORM_STEPS)
    method.Execute(fixed, moving)
    # The last one added is applied first: a point is bent, then turned and shifted.
    return SimpleITK.CompositeTransform([rigid, spline])
