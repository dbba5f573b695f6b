"""What a lesion mask shows: each lesion's volume and uptake, and whether the outlines lie where the uptake is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import ndimage

from fedpsma.domain.study import FloatVolume, LabelVolume
from fedpsma.lesions.geometry import Box, Mask, grown, neighbourhood, voxels_in
from fedpsma.site_check.coarse import Spacing

_GAP_MM, _SHELL_MM = 4.0, 12.0


class LesionFacts(BaseModel):
    """One number of the mask: volume in ml and the SUV (g/ml) inside.

    ``edge_suv`` is the SUV at which the outline runs: halfway between the outermost voxels inside and those that touch
    it from outside, so that noise averages out. ``contrast`` is the mean inside over the mean of the shell from 4 to
    12 mm around it. Either is ``None`` where other lesions or the edge of the volume leave nothing around it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    volume_ml: float
    suvmax: float
    suvmean: float
    edge_suv: float | None
    contrast: float | None


class MaskFacts(BaseModel):
    """All lesions of a mask; ``mirrored`` are the same outlines with left and right swapped.

    ``low_share`` is the share of the lesion volume below the SUV ``low_suv`` of the limits; ``None`` without a lesion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lesions: tuple[LesionFacts, ...]
    low_share: float | None
    mirrored_contrast: tuple[float | None, ...]

    @property
    def volume_ml(self) -> float:
        """Volume of all lesions in ml."""
        return sum(one.volume_ml for one in self.lesions)

    @property
    def mirrored_gain(self) -> float | None:
        """Median over lesions of the mirrored contrast over the contrast; above 1 the mirrored mask fits better."""
        gains = [
            mirrored / one.contrast
            for one, mirrored in zip(self.lesions, self.mirrored_contrast, strict=True)
            if one.contrast and mirrored
        ]
        return float(np.median(gains)) if gains else None

    def seems_mirrored(self, least_gain: float, least_contrast: float) -> bool:
        """Tell whether the mirrored mask fits better by ``least_gain`` and its lesions stand out themselves."""
        mirrored = [contrast for contrast in self.mirrored_contrast if contrast is not None]
        gain = self.mirrored_gain
        return gain is not None and gain > least_gain and float(np.median(mirrored)) > least_contrast


@dataclass(frozen=True)
class _Outline:
    """One outline in a box of the volume: its voxels, the outermost of them, the layer that touches it, a shell."""

    box: Box
    inside: Mask
    inner_layer: Mask
    outer_layer: Mask
    shell: Mask


@dataclass(frozen=True)
class _Around:
    """The PET in the parts of one outline."""

    inside: NDArray[np.float32]
    inner_layer: NDArray[np.float32]
    outer_layer: NDArray[np.float32]
    shell: NDArray[np.float32]

    @classmethod
    def of(cls, pet: FloatVolume, outline: _Outline) -> _Around:
        here = pet[outline.box]
        return cls(here[outline.inside], here[outline.inner_layer], here[outline.outer_layer], here[outline.shell])


def mask_facts(pet: FloatVolume, labels: LabelVolume, spacing_mm: Spacing, low_suv: float) -> MaskFacts:
    """Measure every lesion of a mask; ``pet`` (SUV) and ``labels`` (0 is none) are (x, y, z) on one grid."""
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    outlines = _outlines(labels, spacing_mm)
    found = [_Around.of(pet, outline) for outline in outlines]
    low, voxels = sum(int((one.inside < low_suv).sum()) for one in found), sum(one.inside.size for one in found)
    return MaskFacts(
        lesions=tuple(_lesion(around, voxel_ml) for around in found),
        low_share=low / voxels if voxels else None,
        mirrored_contrast=tuple(_contrast(_Around.of(pet[::-1], outline)) for outline in outlines),
    )


def _outlines(labels: LabelVolume, spacing_mm: Spacing) -> list[_Outline]:
    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        wide = grown(box, voxels_in(_SHELL_MM, spacing_mm), labels.shape)
        inside, free = labels[wide] == number, labels[wide] == 0
        inner = inside & ~ndimage.binary_erosion(inside)
        outer = ndimage.binary_dilation(inside) & free
        shell = neighbourhood(inside, _SHELL_MM, spacing_mm) & ~neighbourhood(inside, _GAP_MM, spacing_mm) & free
        found.append(_Outline(wide, inside, inner, outer, shell))
    return found


def _lesion(around: _Around, voxel_ml: float) -> LesionFacts:
    inside = around.inside
    return LesionFacts(
        volume_ml=inside.size * voxel_ml,
        suvmax=float(inside.max()),
        suvmean=float(inside.mean(dtype=np.float64)),
        edge_suv=_edge(around),
        contrast=_contrast(around),
    )


def _edge(around: _Around) -> float | None:
    if not around.outer_layer.size:
        return None
    inner, outer = (float(layer.mean(dtype=np.float64)) for layer in (around.inner_layer, around.outer_layer))
    return (inner + outer) / 2.0


def _contrast(around: _Around) -> float | None:
    outside = float(around.shell.mean(dtype=np.float64)) if around.shell.size else 0.0
    return float(around.inside.mean(dtype=np.float64)) / outside if outside > 0 else None
