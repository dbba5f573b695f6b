"""A row of the lesion table: the same words and digits whoever found the focus, network or reader."""

from __future__ import annotations

from dataclasses import dataclass

from fedpsma.domain.exam import Lesion, ProstateStatus
from fedpsma.domain.region import Region
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.lesions.ct_correlate import CtCorrelate, ct_correlate
from fedpsma.lesions.foci import Focus
from fedpsma.lesions.geometry import indices_of, world_mm
from fedpsma.lesions.locate import hot_core
from fedpsma.lesions.quantities import Quantities
from fedpsma.lesions.sides import Midline, side_of


@dataclass(frozen=True)
class Patient:
    """What a focus is described against: the images, the maps, and the patient's midline where it is known."""

    study: Study
    prediction: VoxelPrediction
    midline: Midline | None


@dataclass(frozen=True)
class Called:
    """What a focus is called; ``model_prob`` is ``None`` where no model was asked."""

    lesion_id: str
    region: Region
    label: str | None
    model_prob: float | None = None


def table_row(called: Called, focus: Focus, measured: Quantities, patient: Patient) -> Lesion:
    """Describe one focus as the exam holds it, rounded as reports are."""
    study = patient.study
    core = indices_of(hot_core(focus, study.pet), focus.box)
    correlate = ct_correlate(focus, called.region, study, patient.prediction)
    size = _size_mm(called.region, measured, correlate)
    return Lesion(
        lesion_id=called.lesion_id,
        region=called.region,
        label=called.label,
        side=side_of(called.region, world_mm(study.affine, core).mean(axis=0), patient.midline),
        suvmax=round(measured.suvmax, 1),
        suvmean=_rounded(measured.suvmean),
        suvpeak=_rounded(measured.suvpeak) if _peak_is_its_own(measured) else None,
        volume_ml=_rounded_volume(measured.volume_ml),
        size_mm=None if size is None else round(size),
        ct_correlate=None if correlate is None else correlate.text,
        ct_class=None if correlate is None else correlate.ct_class,
        model_prob=called.model_prob,
    )


def after_surgery(region: Region, status: ProstateStatus | None) -> Region:
    """Return the region of a focus; the anatomical map does not know whether the prostate is still there.

    Example:
        >>> str(after_surgery(Region.PROSTATE, "removed")), str(after_surgery(Region.PROSTATE, None))
        ('PROSTATE_BED', 'PROSTATE')
    """
    at_the_prostate = region in (Region.PROSTATE, Region.SEMINAL_VESICLE)
    return Region.PROSTATE_BED if at_the_prostate and status == "removed" else region


def _size_mm(region: Region, measured: Quantities, correlate: CtCorrelate | None) -> float | None:
    """Return the long axis on PET, or the short axis of a node on CT: none where CT does not delimit it."""
    if not region.is_node:
        return measured.longest_mm
    return None if correlate is None else correlate.short_axis_mm


def _peak_is_its_own(measured: Quantities) -> bool:
    """Tell whether SUVpeak is the lesion's: a sphere whose mean exceeds the maximum holds a hotter neighbour."""
    # The sum over the sphere goes through a Fourier transform, which leaves its rounding.
    return measured.suvpeak is not None and measured.suvpeak <= measured.suvmax * (1 + 1e-6)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _rounded_volume(value: float | None) -> float | None:
    """One decimal as in reports, two where one would leave nothing."""
    return None if value is None else round(value, 1 if value >= 0.1 else 2)
