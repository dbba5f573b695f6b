"""What is true of a synthetic patient: the records in ``truth/`` beside his images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.assessment import Assessment, MiTnm, Recip
from fedpsma.domain.exam import CtClass, Exam, Lesion, TExtent
from fedpsma.domain.region import Region, Side
from fedpsma.domain.study import FloatVolume, LabelVolume
from fedpsma.phantom.clinical import NO_CT
from fedpsma.phantom.lesions import short_axis_mm
from fedpsma.phantom.scanner import ImagedFocus
from fedpsma.staging import assess
from fedpsma.staging.recip import recip_class
from fedpsma.staging.rulebook import percent_change

Change = Literal["new", "grew", "stable", "shrank", "vanished"]

_T_EXTENT: dict[Region, TExtent] = {Region.PROSTATE: "T2", Region.SEMINAL_VESICLE: "T3b", Region.PROSTATE_BED: "Tr"}
_PROVEN = "prostate cancer"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FocusTruth(_Record):
    """One focus: a lesion has the number ``id`` in the lesion mask, a benign focus is not in the mask.

    ``suvmax_drawn`` is before blur for a lesion and the peak without noise for a benign focus; ``suvmax`` is found in
    the image inside the true boundary. ``volume_ml`` is true, ``mask_ml`` as the site contours it, ``contoured`` says
    whether a reader sees the lesion, and the site's convention has a voxel of it.
    ``centre_mm`` is in the millimetres of the images' affine; ``category_hint`` is the PSMA-RADS category of a
    careful reader, ``category_read`` that of a reader who errs at times. ``ct_class`` is what a CT shows,
    or would show where the site has none.
    """

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
    category_read: str


class LesionChange(_Record):
    """The fate of a lesion; ``lesion`` and ``previous`` are numbers in the masks of this scan and the one before.

    ``lesion`` is null where it vanished, ``previous`` empty where it is new and holds two numbers where two grew
    together; two rows with the same ``previous`` are the parts of one that fell apart. The volumes (ml, true, before
    and now) are those of the row; ``change`` goes by the sum over all parts.
    """

    lesion: int | None
    previous: tuple[int, ...]
    change: Change
    event: Literal["merged", "split"] | None = None
    volume_ml: tuple[float, float]


class FollowUpTruth(_Record):
    """What happened since the scan before.

    ``motion`` is the homogeneous 4 x 4 matrix that leads from the millimetres of the scan before to those of this one.
    ``psma_vol_ml`` (before, now) is by the sites' contours, ``volume_ml`` true. ``new_lesions`` counts those that are
    contoured now and were not before; ``recip`` follows from it and from ``psma_vol_ml`` by RECIP 1.0, null where
    tracers or the lack of a tumour forbid the comparison.
    """

    previous_study: str
    days: int
    course: str
    other_tracer: bool
    other_scanner: bool
    motion: tuple[tuple[float, ...], ...]
    lesions: tuple[LesionChange, ...]
    volume_ml: tuple[float, float]
    psma_vol_ml: tuple[float, float]
    new_lesions: int
    recip: Recip | None


class PatientTruth(_Record):
    """A synthetic study on file: its exam (readable as ``exam.json``), every focus, and what the organs took up.

    ``organ_suv`` is the drawn SUVmean (g/ml) of each organ, ``liver_cv`` the drawn noise; ``follow_up`` is null for a
    first scan.
    """

    title: str
    study_id: str
    patient_id: str
    date: str
    site: str
    scanner: str
    scenario: str
    exam: Exam
    foci: tuple[FocusTruth, ...]
    organ_suv: dict[str, float]
    liver_cv: float
    follow_up: FollowUpTruth | None = None

    @property
    def modality(self) -> str:
        """What was done: the PET alone at a site without CT."""
        return "PET" if self.exam.technique.ct == NO_CT else "PET/CT"

    @property
    def lesions(self) -> tuple[FocusTruth, ...]:
        """The suspicious foci, in the order of their numbers in the mask."""
        return tuple(focus for focus in self.foci if focus.suspicious)


class TrueAssessment(_Record):
    """``truth/<id>.assessment.json``: what the rules make of the true exam, and what only the truth knows.

    ``assessment`` is :func:`fedpsma.staging.assess` on the exam as it stands, where a lesion can look indeterminate.
    ``true_mitnm`` counts every lesion of the exam as the proven metastasis that it is; ``category_hints`` are PSMA-RADS
    categories by lesion; ``true_recip`` is the class of the true comparison.
    """

    study_id: str
    synthetic: Literal[True] = True
    assessment: Assessment
    true_mitnm: MiTnm | None
    true_mitnm_string: str | None
    category_hints: dict[str, str]
    true_recip: Recip | None


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
        suvmax_drawn=round(focus.suvmax, 2),
        suvmax=round(float(pet[focus.box][inside].max()), 2),
        ct_class=planned.ct_class,
        ct_correlate=planned.ct_correlate,
        category_hint=planned.category_hint,
        category_read=planned.category_read,
    )


def exam_lesion(truth: FocusTruth, focus: ImagedFocus, pet: FloatVolume, mask: LabelVolume, *, has_ct: bool) -> Lesion:
    """Return a contoured lesion as a row of the exam, measured inside the mask; size and correlate need a CT."""
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
        size_mm=round(size) if has_ct else None,
        ct_correlate=truth.ct_correlate if has_ct else None,
        ct_class=truth.ct_class if has_ct else None,
        t_extent=_T_EXTENT.get(truth.region),
    )


def describe_changes(
    now: Sequence[FocusTruth],
    before: Sequence[FocusTruth],
    previous: Mapping[int, tuple[int, ...]],
    changed_share: float,
) -> tuple[LesionChange, ...]:
    """Write down the fate of every lesion.

    ``previous`` holds the numbers of each present lesion in the scan before; a lesion grew or shrank when the volume of
    all its parts changed by at least ``changed_share``.
    """
    old = {lesion.id: lesion.volume_ml for lesion in before}
    rows = []
    for lesion in now:
        numbers = previous[lesion.id]
        family = [other for other in now if set(previous[other.id]) & set(numbers)]
        origin = {number for other in family for number in previous[other.id]}
        was, total = sum(old[number] for number in origin), sum(other.volume_ml for other in family)
        event: Literal["merged", "split"] | None = "split" if len(family) > 1 else None
        rows.append(
            LesionChange(
                lesion=lesion.id,
                previous=numbers,
                change=_change(was, total, changed_share) if numbers else "new",
                event="merged" if len(numbers) > 1 else event,
                volume_ml=(round(sum(old[number] for number in numbers), 3), lesion.volume_ml),
            )
        )
    kept = {number for lesion in now for number in previous[lesion.id]}
    gone = [number for number in old if number not in kept]
    rows += [LesionChange(lesion=None, previous=(one,), change="vanished", volume_ml=(old[one], 0.0)) for one in gone]
    return tuple(rows)


def count_new(now: Sequence[FocusTruth], before: Sequence[FocusTruth], previous: Mapping[int, tuple[int, ...]]) -> int:
    """Count the lesions that are contoured now and of which nothing was contoured before."""
    seen = {lesion.id for lesion in before if lesion.contoured}
    return sum(lesion.contoured and not seen & set(previous[lesion.id]) for lesion in now)


def true_recip(before_ml: float, now_ml: float, new_lesions: int) -> Recip | None:
    """Return the RECIP 1.0 class of a true change of PSMA volume (ml); null without a volume at baseline.

    Example:
        >>> [true_recip(100.0, now, new) for now, new in ((70.0, 0), (120.0, 1), (120.0, 0), (0.0, 0))]
        ['PR', 'PD', 'SD', 'CR']
    """
    if before_ml <= 0:
        return None
    if now_ml == 0:
        return "CR"
    return recip_class(percent_change(before_ml, now_ml), new_lesions=new_lesions > 0)


def assess_truth(truth: PatientTruth) -> TrueAssessment:
    """Stage the true exam twice: by the rules alone, and with every lesion proven."""
    exam = truth.exam
    proven = exam.model_copy(
        update={
            "lesions": [one.model_copy(update={"biopsy": _PROVEN}) for one in exam.lesions],
            "prior": None,
        }
    )
    staged = assess(proven)
    return TrueAssessment(
        study_id=truth.study_id,
        assessment=assess(exam),
        true_mitnm=staged.mitnm,
        true_mitnm_string=staged.mitnm_string,
        category_hints={f"L{one.id}": one.category_hint for one in truth.lesions if one.contoured},
        true_recip=truth.follow_up.recip if truth.follow_up else None,
    )


def _change(before_ml: float, now_ml: float, changed_share: float) -> Change:
    if now_ml >= before_ml * (1 + changed_share):
        return "grew"
    return "shrank" if now_ml <= before_ml * (1 - changed_share) else "stable"
