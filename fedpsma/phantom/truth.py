"""What is true of a synthetic patient: the record ``truth/<id>.json`` beside his images."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.exam import CtClass, Exam, Lesion, TExtent
from fedpsma.domain.region import Region, Side
from fedpsma.domain.study import FloatVolume, LabelVolume
from fedpsma.phantom.lesions import short_axis_mm
from fedpsma.phantom.scanner import ImagedFocus

_T_EXTENT: dict[Region, TExtent] = {Region.PROSTATE: "T2", Region.SEMINAL_VESICLE: "T3b", Region.PROSTATE_BED: "Tr"}


class FocusTruth(BaseModel):
    """One focus: a lesion has the number ``id`` in the lesion mask, a benign focus is not in the mask.

    ``suvmax_drawn`` is before blur for a lesion and the peak without noise for a benign focus; ``suvmax`` is found in
    the image inside the true boundary. ``volume_ml`` is true, ``mask_ml`` as the site contours it, ``contoured`` says
    whether the site's convention sees the lesion at all.
    ``centre_mm`` is in the millimetres of the images' affine; ``category_hint`` is a PSMA-RADS category.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    kind: str
    suspicious: bool
    contoured: bool
    region: Region
    side: Side
    anatomy: str
    centre_mm: tuple[float, float, float]
    volume_ml: float
    mask_ml: float
    suvmax_drawn: float
    suvmax: float
    ct_class: CtClass
    ct_correlate: str | None
    category_hint: str


class PatientTruth(BaseModel):
    """A synthetic patient on file: his exam (readable as ``exam.json``), every focus, and what his organs took up.

    ``organ_suv`` is the drawn SUVmean (g/ml) of each organ, ``liver_cv`` the drawn noise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    study_id: str
    site: str
    scenario: str
    exam: Exam
    foci: tuple[FocusTruth, ...]
    organ_suv: dict[str, float]
    liver_cv: float

    @property
    def lesions(self) -> tuple[FocusTruth, ...]:
        """The suspicious foci, in the order of their numbers in the mask."""
        return tuple(focus for focus in self.foci if focus.suspicious)


def describe_focus(number: int, focus: ImagedFocus, pet: FloatVolume, mask: LabelVolume, voxel_ml: float) -> FocusTruth:
    """Write down one focus and what the image shows of it."""
    placed, planned = focus.shape.placed, focus.shape.placed.focus
    contoured = int((mask[focus.box] == number).sum()) if planned.suspicious else 0
    inside = focus.occupancy >= min(0.5, float(focus.occupancy.max()))
    return FocusTruth(
        id=number,
        kind=planned.kind,
        suspicious=planned.suspicious,
        contoured=contoured > 0,
        region=placed.region,
        side=placed.side,
        anatomy=anatomy_classes()[placed.class_number].name,
        centre_mm=tuple(round(one, 1) for one in placed.centre_mm),
        volume_ml=round(focus.shape.volume_ml, 3),
        mask_ml=round(contoured * voxel_ml, 3),
        suvmax_drawn=round(planned.suvmax, 2),
        suvmax=round(float(pet[focus.box][inside].max()), 2),
        ct_class=planned.ct_class,
        ct_correlate=planned.ct_correlate,
        category_hint=planned.category_hint,
    )


def exam_lesion(truth: FocusTruth, focus: ImagedFocus, pet: FloatVolume, mask: LabelVolume) -> Lesion:
    """Return a contoured lesion as a row of the exam, measured inside the mask."""
    values = pet[focus.box][mask[focus.box] == truth.id]
    planned = focus.shape.placed.focus
    axis = short_axis_mm(planned.volume_ml, planned.ratios)
    size = axis if truth.region.is_node else axis * max(planned.ratios) / min(planned.ratios)
    return Lesion(
        lesion_id=f"L{truth.id}",
        region=truth.region,
        side=truth.side,
        suvmax=round(float(values.max()), 1),
        suvmean=round(float(values.mean()), 1),
        volume_ml=round(truth.mask_ml, 2),
        size_mm=round(size),
        ct_correlate=truth.ct_correlate,
        ct_class=truth.ct_class,
        t_extent=_T_EXTENT.get(truth.region),
    )
