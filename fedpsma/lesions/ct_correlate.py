"""What CT shows at a focus, in words, from measured attenuation; nothing is said where there is no CT.

The words are those that :mod:`fedpsma.text.ct_correlate` reads: they and the measured class agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.exam import CtClass
from fedpsma.domain.region import Region
from fedpsma.domain.study import FloatVolume, Study, VoxelPrediction, ct_reaches
from fedpsma.lesions.ct_node import measure_node
from fedpsma.lesions.foci import Focus
from fedpsma.lesions.geometry import Box, Mask, depth_mm, enlarged, grown, neighbourhood, voxels_in
from fedpsma.lesions.locate import hot_core
from fedpsma.lesions.policy import CtPolicy, policy
from fedpsma.lesions.quantities import largest_diameter

_NOT_NORMAL_FROM = 0.2
_LEAST_REFERENCE = 20


@dataclass(frozen=True)
class CtCorrelate:
    """The words for the reader, and a class only where the measurement alone decides it.

    ``short_axis_mm`` is that of a node on CT; ``None`` for anything else, and where the node is not delimited.
    """

    text: str
    ct_class: CtClass | None = None
    short_axis_mm: float | None = None


def ct_correlate(focus: Focus, region: Region, study: Study, prediction: VoxelPrediction) -> CtCorrelate | None:
    """Describe the CT at the hot core of a focus; ``None`` where no CT was taken or the attenuation tells nothing."""
    if study.ct is None or not ct_reaches(study.ct[focus.box][hot_core(focus, study.pet)]):
        return None
    if region.is_bone:
        return _bone(_Place.of(focus, region, study, prediction), study.ct)
    if region.is_node:
        return _node(focus, region, study, study.ct)
    if region is Region.LUNG:
        return _lung(focus, study, study.ct)
    if region is Region.LIVER:
        return _liver(_Place.of(focus, region, study, prediction), study.ct)
    return None


@dataclass(frozen=True)
class _Place:
    """A focus in its organ, masks inside ``box``: what lies ``under`` it, and the organ ``around`` it, free of foci.

    ``rim`` is the outer layer of the organ.
    """

    box: Box
    under: Mask
    around: Mask
    rim: Mask

    @staticmethod
    def of(focus: Focus, region: Region, study: Study, prediction: VoxelPrediction) -> _Place:
        limits = policy().ct
        box = grown(focus.box, voxels_in(limits.reach_mm, study.spacing_mm), study.pet.shape)
        core = enlarged(hot_core(focus, study.pet), focus.box, box)
        numbers = [one.number for one in anatomy_classes() if one.region is region]
        organ = np.isin(prediction.anatomy[box], numbers)
        shifted = neighbourhood(core, limits.shift_mm, study.spacing_mm)
        under = core & organ
        if np.count_nonzero(under) < np.count_nonzero(core) / 2:
            under = shifted & organ
        foci = neighbourhood(prediction.suspicious[box] >= _NOT_NORMAL_FROM, limits.shift_mm, study.spacing_mm)
        rim = organ & (depth_mm(organ, study.spacing_mm) <= limits.rim_mm)
        return _Place(box, under if under.any() else core, organ & ~foci & ~shifted, rim)


def _bone(place: _Place, ct: FloatVolume) -> CtCorrelate | None:
    """Compare a focus with the same bone around it, cortex with cortex: bones differ more than lesions do."""
    limits = policy().ct
    hounsfield = ct[place.box]
    median = float(np.median(hounsfield[place.under]))
    if median < limits.air_or_fat_below_hu:
        return None
    above, below = _beyond_usual(place, hounsfield, limits)
    if median >= limits.sclerotic_from_hu and above >= 0:
        return CtCorrelate(f"sclerotic on CT, {median:.0f} HU")
    if median < limits.lytic_below_hu and below > 0:
        return CtCorrelate(f"lytic on CT, {median:.0f} HU")
    return CtCorrelate(f"no sclerosis or lysis on CT, {median:.0f} HU", "none")


def _beyond_usual(place: _Place, hounsfield: NDArray[np.float32], limits: CtPolicy) -> tuple[float, float]:
    """Return by how many HU a focus lies above and below the usual range of the same layer of the bone nearby.

    Where too little bone is seen, its layers are taken together, and without any the fixed limits alone decide.
    """
    above, below = [], []
    for layer in (place.rim, ~place.rim):
        here, usual = hounsfield[place.under & layer], hounsfield[place.around & layer]
        if usual.size < _LEAST_REFERENCE:
            usual = hounsfield[place.around]
        low, high = np.percentile(usual, limits.usual_percent) if usual.size >= _LEAST_REFERENCE else (np.inf, -np.inf)
        above.append(here - high)
        below.append(low - here)
    return float(np.median(np.concatenate(above))), float(np.median(np.concatenate(below)))


def _node(focus: Focus, region: Region, study: Study, ct: FloatVolume) -> CtCorrelate:
    limits = policy().node
    found = measure_node(focus, study, ct)
    if found.hu is None:
        return CtCorrelate("no lymph node on CT", "none")
    if found.short_axis_mm is None:
        return CtCorrelate(f"soft-tissue attenuation on CT, {found.hu:.0f} HU, not delimited from its surroundings")
    pelvic = region.facts.mitnm_axis == "N"
    size = round(found.short_axis_mm)
    enlarged = size >= (limits.enlarged_pelvis_mm if pelvic else limits.enlarged_elsewhere_mm)
    words = f"{'enlarged' if enlarged else 'small'} lymph node on CT, short axis {size} mm, {found.hu:.0f} HU"
    return CtCorrelate(words, "suspicious" if enlarged else "nonspecific", found.short_axis_mm)


def _lung(focus: Focus, study: Study, ct: FloatVolume) -> CtCorrelate:
    """Look for a dense piece within the lung near the focus, as far as breathing may have moved it."""
    limits = policy().ct
    box = grown(focus.box, voxels_in(limits.lung_reach_mm, study.spacing_mm), ct.shape)
    core = enlarged(hot_core(focus, study.pet), focus.box, box)
    dense = ct[box] >= limits.lung_nodule_from_hu
    seen = dense & core if (dense & core).any() else dense & neighbourhood(core, limits.shift_mm, study.spacing_mm)
    if not seen.any():
        return CtCorrelate("no nodule on CT", "none")
    pieces, _ = ndimage.label(dense)
    nodule = np.asarray(pieces == int(np.bincount(pieces[seen]).argmax()), dtype=bool)
    if _reaches_edge(nodule):
        return CtCorrelate("density in the lung on CT, not delimited from its surroundings")
    return CtCorrelate(f"nodule in the lung on CT, {largest_diameter(nodule, study.affine):.0f} mm")


def _liver(place: _Place, ct: FloatVolume) -> CtCorrelate | None:
    """Tell only a clear contrast: many metastases of the liver are as dense as it is."""
    if np.count_nonzero(place.around) < _LEAST_REFERENCE:
        return None
    here, liver = (float(np.median(ct[place.box][mask])) for mask in (place.under, place.around))
    if here > liver - policy().ct.liver_contrast_hu or here < policy().ct.air_or_fat_below_hu:
        return None
    return CtCorrelate(f"hypodense on CT, {here:.0f} HU in a liver of {liver:.0f} HU")


def _reaches_edge(mask: Mask) -> bool:
    """Tell whether the mask touches a face of its box."""
    return any(bool(mask.take(end, axis=axis).any()) for axis in range(3) for end in (0, -1))
