"""What CT shows at a focus, in words, from measured attenuation; nothing is said where there is no CT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fedpsma.domain.exam import CtClass
from fedpsma.domain.region import Region
from fedpsma.domain.study import FloatVolume, Study
from fedpsma.lesions.foci import Focus
from fedpsma.lesions.geometry import Mask, grown, voxels_in
from fedpsma.lesions.locate import hot_core
from fedpsma.lesions.policy import CtPolicy, policy
from fedpsma.lesions.quantities import short_axis


@dataclass(frozen=True)
class CtCorrelate:
    """The words for the reader, and a class only where the measurement alone decides it."""

    text: str
    ct_class: CtClass | None = None


def ct_correlate(focus: Focus, region: Region, study: Study) -> CtCorrelate | None:
    """Describe the CT at the hot core of a focus; ``None`` where there is no CT or the attenuation tells nothing."""
    if study.ct is None:
        return None
    limits = policy().ct
    hounsfield = study.ct[focus.box][hot_core(focus, study.pet)]
    mean = float(hounsfield.mean(dtype=np.float64))
    if region.is_bone:
        return _bone(mean, limits)
    if region.is_node:
        return _node(focus, study, study.ct, mean)
    return None


def _bone(mean: float, limits: CtPolicy) -> CtCorrelate | None:
    if mean < limits.air_or_fat_below_hu:
        return None
    if mean >= limits.sclerotic_from_hu:
        return CtCorrelate(f"sclerotic on CT, mean {mean:.0f} HU")
    if mean < limits.lytic_below_hu:
        return CtCorrelate(f"lytic on CT, mean {mean:.0f} HU")
    return CtCorrelate(f"no sclerosis or lysis on CT, mean {mean:.0f} HU", "none")


def _node(focus: Focus, study: Study, ct: FloatVolume, mean: float) -> CtCorrelate | None:
    """Describe the piece of soft tissue under the peak, measured on the PET grid, where it ends within reach."""
    limits = policy().ct
    low, high = limits.soft_tissue_hu
    around = grown(focus.box, voxels_in(limits.node_reach_mm, study.spacing_mm), ct.shape)
    x, y, z = (at - side.start for at, side in zip(focus.peak, around, strict=True))
    tissue = (ct[around] >= low) & (ct[around] <= high)
    if not tissue[x, y, z]:
        return CtCorrelate(f"no soft-tissue node on CT, mean {mean:.0f} HU", "none") if mean < low else None
    pieces, _ = ndimage.label(tissue)
    node = pieces == pieces[x, y, z]
    if _reaches_edge(node):
        return CtCorrelate(f"soft-tissue attenuation on CT, mean {mean:.0f} HU, not delimited from its surroundings")
    size = short_axis(node, study.affine)
    return CtCorrelate(f"soft-tissue node on CT, short axis about {size:.0f} mm, mean {mean:.0f} HU")


def _reaches_edge(mask: Mask) -> bool:
    """Tell whether the mask touches a face of its box."""
    return any(bool(mask.take(end, axis=axis).any()) for axis in range(3) for end in (0, -1))
