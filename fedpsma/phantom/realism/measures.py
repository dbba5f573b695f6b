"""Figures of one study: organ uptake, liver noise, organ geometry. Pure functions of arrays (x, y, z)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.study import FloatVolume
from fedpsma.phantom.boxes import bounding_box
from fedpsma.phantom.realism.targets import OrganMask
from fedpsma.phantom.tables import tissue_number, tissues

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Spacing = tuple[float, float, float]

# The source of the real rows set voxels at or below this SUV to zero.
TRUNCATION_SUV = 3.0
_LEAST_VOXELS = 5
_ACF_LAGS = 4


@dataclass(frozen=True)
class OrganFigures:
    """SUV statistics of one organ in one study.

    ``mean`` is over the organ (or its core) without lesions, ``mean_gt3`` over its voxels above SUV 3; ``None`` where
    there is none, or where the field of view cuts an organ that is taken whole. The rest follow the real rows: what
    the field of view holds of the organ, with lesions, voxels at or below SUV 3 set to zero.
    """

    mean: float | None
    mean_gt3: float | None
    mean_trunc3: float
    median_trunc3: float
    p90_trunc3: float
    robust_cv: float | None


@dataclass(frozen=True)
class LiverNoise:
    """Noise in a sphere inside the liver; ``acf`` holds in-plane lag in mm and autocorrelation."""

    cv: float
    acf: tuple[tuple[float, float], ...]


def labels_of(names: Sequence[str]) -> Mask:
    """Tell for each tissue label whether it is one of these tissues."""
    table = np.zeros(256, dtype=bool)
    table[[tissue_number(name) for name in names]] = True
    return table


def midline_index(labels: Labels) -> int:
    """Return the first x index of the right half: the middle of the spine beside kidneys and adrenals.

    Without these it is the middle of the volume.
    """
    flanked = bounding_box(labels_of(("kidney", "adrenal"))[labels])
    if flanked is None:
        return int(labels.shape[0] // 2)
    spine = labels_of(("lumbar_spine", "thoracic_spine"))[labels[:, :, flanked[2]]].sum(axis=(1, 2))
    if not spine.any():
        return int(labels.shape[0] // 2)
    return int(np.ceil(spine @ np.arange(len(spine)) / spine.sum()))


def organ_figures(
    organ: OrganMask, labels: Labels, pet: FloatVolume, lesion: Mask, midline: int
) -> OrganFigures | None:
    """Measure one organ; ``None`` where it is absent or too small.

    Args:
        organ: The organ.
        labels: Tissue labels.
        pet: SUV.
        lesion: Voxels of lesions.
        midline: First x index of the right half.
    """
    mask = labels_of(organ.tissues)[labels]
    if organ.side is not None:
        mask[:midline] &= organ.side == "left"
        mask[midline:] &= organ.side == "right"
    box = bounding_box(mask)
    if box is None or mask.sum() < _LEAST_VOXELS:
        return None
    inside, values = mask[box], pet[box]
    cut = organ.part == "whole" and (box[2].start == 0 or box[2].stop == labels.shape[2])
    chosen = inside & ~lesion[box] & (not cut)
    if organ.part == "core":
        chosen &= ndimage.binary_erosion(inside)
    return _statistics(values[chosen], values[inside])


def _statistics(chosen: NDArray[np.float32], every: NDArray[np.float32]) -> OrganFigures:
    upper = chosen[chosen > TRUNCATION_SUV]
    truncated = np.where(every > TRUNCATION_SUV, every, 0.0)
    low, median, high, p90 = np.percentile(truncated, [25, 50, 75, 90])
    return OrganFigures(
        mean=float(chosen.mean()) if chosen.size else None,
        mean_gt3=float(upper.mean()) if upper.size else None,
        mean_trunc3=float(truncated.mean()),
        median_trunc3=float(median),
        p90_trunc3=float(p90),
        robust_cv=float((high - low) / 1.349 / median) if low > 0 else None,
    )


def liver_noise(liver: Mask, pet: FloatVolume, spacing_mm: Spacing, radius_mm: float) -> LiverNoise | None:
    """Measure the noise in the sphere about the voxel deepest inside the liver.

    Returns:
        The coefficient of variation, and the autocorrelation at whole voxel steps along x and y pooled, with mean and
        variance of the sphere. ``None`` where no sphere of this radius fits.
    """
    box = bounding_box(liver)
    if box is None:
        return None
    depth = ndimage.distance_transform_edt(np.pad(liver[box], 1), sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
    centre = np.unravel_index(int(depth.argmax()), depth.shape)
    if depth[centre] < radius_mm:
        return None
    axes = [(np.arange(n) - c) * step for n, c, step in zip(depth.shape, centre, spacing_mm, strict=True)]
    squared = axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2][None, None, :] ** 2
    return sphere_noise(pet[box].astype(np.float64), squared <= radius_mm**2, spacing_mm)


def sphere_noise(values: NDArray[np.float64], sphere: Mask, spacing_mm: Spacing) -> LiverNoise:
    """Return variation and in-plane autocorrelation of the values inside a mask."""
    mean, spread = float(values[sphere].mean()), float(values[sphere].std(ddof=1))
    residual = np.where(sphere, values - mean, 0.0)
    acf = []
    for lag in range(1, _ACF_LAGS + 1):
        product, pairs = 0.0, 0
        for axis in (0, 1):
            first, second = np.moveaxis(residual, axis, 0)[:-lag], np.moveaxis(residual, axis, 0)[lag:]
            inside = np.moveaxis(sphere, axis, 0)
            product += float((first * second).sum())
            pairs += int((inside[:-lag] & inside[lag:]).sum())
        if pairs:
            acf.append((lag * float(np.mean(spacing_mm[:2])), product / pairs / spread**2))
    return LiverNoise(spread / mean, tuple(acf))


def geometry(groups: Mapping[str, Sequence[str]], labels: Labels, spacing_mm: Spacing) -> dict[str, float]:
    """Return volume in ml and centroid in mm of organs, as ``<organ>_ml``, ``_dx``, ``_dy``, ``_dz``.

    x and y count from the centroid of the lungs, z from that of the bladder; what cannot be measured is left out.
    """
    volumes, centres = {}, {}
    moments = [_moments(labels, axis) for axis in range(3)]
    counts = moments[0].sum(axis=1)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    for name, members in groups.items():
        numbers = [tissue_number(member) for member in members]
        total = float(counts[numbers].sum())
        if total:
            volumes[name] = total * voxel_ml
            centres[name] = [float(m[numbers].sum(axis=0) @ np.arange(m.shape[1])) / total for m in moments]
    found = {f"{name}_ml": volume for name, volume in volumes.items()}
    if "lungs" not in centres or "bladder" not in centres:
        return found
    origin = (*centres["lungs"][:2], centres["bladder"][2])
    for name, centre in centres.items():
        for letter, value, start, step in zip("xyz", centre, origin, spacing_mm, strict=True):
            found[f"{name}_d{letter}"] = (value - start) * step
    return found


def _moments(labels: Labels, axis: int) -> NDArray[np.int64]:
    """Count each tissue (rows) in each plane across an axis (columns)."""
    planes = np.moveaxis(labels, axis, 0)
    size = len(tissues())
    return np.stack([np.bincount(plane.ravel(), minlength=size)[:size] for plane in planes], axis=1)
