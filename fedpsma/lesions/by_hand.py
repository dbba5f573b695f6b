"""What a reader does to the lesions of a study: add one that was missed, delete one, split one in two.

Nothing is changed in place: each function returns the new table with the new label map. Outlines and quantities are
those of the analysis.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import ndimage

from fedpsma.domain.contour import contour_rules
from fedpsma.domain.exam import Exam, Lesion
from fedpsma.domain.region import Region
from fedpsma.domain.study import LabelVolume, Study, VoxelPrediction
from fedpsma.errors import InputError
from fedpsma.lesions.basins import basins
from fedpsma.lesions.contours import outline
from fedpsma.lesions.foci import Focus, FocusOptions, focus_at
from fedpsma.lesions.geometry import FWHM_PER_SIGMA, Box, Index, Mask, indices_of, placed
from fedpsma.lesions.judge import MALIGNANT
from fedpsma.lesions.locate import place
from fedpsma.lesions.quantities import measure
from fedpsma.lesions.references import measure_references
from fedpsma.lesions.row import Called, Patient, after_surgery, table_row
from fedpsma.lesions.sides import find_midline

HandContour = Literal["suv4", "suv3", "pct41", "pct50", "liver"]
"""Contour conventions by which a reader can draw a lesion."""

# A reader points at what he sees: foci stand apart from a tenth on, where the network asks for a fifth.
_BY_HAND = FocusOptions(saddle_drop=0.1, min_suvmax=0.0)
# Two peaks of one lesion are two where the saddle lies this much below the lower one, and noise is smoothed away.
_LEAST_SADDLE = 0.05
_SMOOTHING_MM = 5.0
# Background belongs to some catchment too: an outline that lies farther from the reader's point is not what he meant.
_REACH_MM = 10.0


@dataclass(frozen=True)
class Findings:
    """The table and its label map (x, y, z): number n on the grid of the PET is ``exam.lesions[n - 1]``."""

    exam: Exam
    labels: LabelVolume

    def number(self, lesion_id: str) -> int:
        """Return the number of a lesion in the label map.

        Raises:
            InputError: There is no lesion of this name.
        """
        for number, lesion in enumerate(self.exam.lesions, start=1):
            if lesion.lesion_id == lesion_id:
                return number
        raise InputError("is not in the table", where=lesion_id, remedy="choose a lesion of the table")


@dataclass(frozen=True)
class Drawing:
    """How a lesion is added: its contour, and its region where the reader gives it.

    Without ``region`` that of the anatomical map is taken; the contour by the liver measures the liver there.
    """

    contour: HandContour = "suv4"
    region: Region | None = None
    label: str = MALIGNANT


def add_lesion(study: Study, found: Findings, at: Index, drawing: Drawing = Drawing()) -> Findings:
    """Outline what lights up at a voxel and add it to the table.

    Args:
        study: The PET in SUV; ``anatomy``, where it is known, proposes the region.
        found: The lesions so far; their voxels are not taken again.
        at: The voxel (x, y, z) that the reader points at, anywhere on the slope of the focus.
        drawing: Contour, region and label.

    Raises:
        InputError: Nothing lights up there, a lesion is there already, the contour gives no extent, or the region is
            unknown.
    """
    where = f"lesion at {', '.join(map(str, at))}"
    _require_free(found, at, where)
    focus = focus_at(study, at, found.labels > 0, _BY_HAND)
    if focus is None:
        raise _nothing_there(study, at, where)
    region = drawing.region or propose_region(study, found, focus)
    if region is None:
        raise InputError("its region is unknown", where=where, remedy="choose a region")
    mask = _outlined(study, found, focus, region, drawing.contour)
    if _distance_mm(study, mask, focus.box, at) > _REACH_MM:
        raise _nothing_there(study, at, where)
    labels = found.labels.copy()
    labels[focus.box][mask] = len(found.exam.lesions) + 1
    called = Called(_next_id(found.exam), region, drawing.label)
    row = table_row(called, focus, measure(study, mask, focus.box, focus.suvmax), _patient(study, found))
    return _with(study, found.exam, [*found.exam.lesions, row], labels)


def propose_region(study: Study, found: Findings, focus: Focus) -> Region | None:
    """Return where the anatomical map says a focus lies if it is a tumour; ``None`` without a map."""
    if study.anatomy is None:
        return None
    return after_surgery(place(focus, study, _maps(study, found)).tumour_region, found.exam.clinical.prostate_status)


def delete_lesion(study: Study, found: Findings, lesion_id: str) -> Findings:
    """Take a lesion out of table and map; the others keep their names.

    Raises:
        InputError: There is no lesion of this name.
    """
    gone = found.number(lesion_id)
    numbers = np.arange(len(found.exam.lesions) + 1, dtype=found.labels.dtype)
    renumbered = np.where(numbers == gone, 0, numbers - (numbers > gone))
    lesions = [one for one in found.exam.lesions if one.lesion_id != lesion_id]
    return _with(study, found.exam, lesions, renumbered[found.labels].astype(found.labels.dtype))


def split_lesion(study: Study, found: Findings, lesion_id: str) -> Findings:
    """Part a lesion at the saddle between its two most distinct peaks; the hotter part keeps the name.

    Raises:
        InputError: There is no such lesion, it has no outline, or only one peak.
    """
    number = found.number(lesion_id)
    old = found.exam.lesions[number - 1]
    box = dict(enumerate(ndimage.find_objects(found.labels), start=1)).get(number)
    if box is None or old.volume_ml is None:
        raise InputError("has no outline to split", where=lesion_id, remedy="delete it and add its parts")
    parts = _two_parts(study, found.labels[box] == number, box)
    if parts is None:
        raise InputError("has one peak and cannot be split", where=lesion_id, remedy="delete it and add its parts")
    foci = sorted((_focus(study, part, box) for part in parts), key=lambda one: -one.suvmax)
    labels = found.labels.copy()
    labels[foci[1].box][foci[1].basin] = len(found.exam.lesions) + 1
    patient, region = _patient(study, found), old.region
    names = (Called(lesion_id, region, old.label, old.model_prob), Called(_next_id(found.exam), region, old.label))
    kept, new = (
        table_row(called, focus, measure(study, focus.basin, focus.box, focus.suvmax), patient)
        for called, focus in zip(names, foci, strict=True)
    )
    lesions = [kept if one.lesion_id == lesion_id else one for one in found.exam.lesions]
    return _with(study, found.exam, [*lesions, new], labels)


def tumour_volume_ml(study: Study, found: Findings, lesion_ids: frozenset[str]) -> float:
    """Return the volume of these lesions together in ml, unrounded; those without a volume add nothing."""
    counted = np.bincount(found.labels.ravel(), minlength=len(found.exam.lesions) + 1)
    rows = enumerate(found.exam.lesions, start=1)
    voxels = sum(counted[number] for number, one in rows if one.lesion_id in lesion_ids and one.volume_ml is not None)
    return float(voxels * study.voxel_ml)


def _require_free(found: Findings, at: Index, where: str) -> None:
    if any(not 0 <= one < size for one, size in zip(at, found.labels.shape, strict=True)):
        raise InputError("is outside the image", where=where, remedy="choose another point")
    number = int(found.labels[at])
    if number:
        name = found.exam.lesions[number - 1].lesion_id
        raise InputError(f"{name} is there already", where=where, remedy="split it, or delete it first")


def _nothing_there(study: Study, at: Index, where: str) -> InputError:
    return InputError(f"nothing stands out there (SUV {study.pet[at]:.1f})", where=where, remedy="point at a focus")


def _outlined(study: Study, found: Findings, focus: Focus, region: Region, contour: HandContour) -> Mask:
    """Return the lesion's voxels inside the box of the focus.

    Raises:
        InputError: There are none.
    """
    rule, liver, where = contour_rules()[contour], None, f"contour {contour}"
    if rule.kind == "liver" and not region.is_bone:
        liver = measure_references(study, _maps(study, found)).liver
        if liver is None:
            raise InputError("the liver cannot be measured", where=where, remedy="choose another contour")
    mask = outline(focus, rule, study.pet, in_bone=region.is_bone, liver=liver)
    if not mask.any():
        problem = f"the SUVmax of {focus.suvmax:.1f} lies below it"
        raise InputError(problem, where=where, remedy="choose a contour by percent")
    return mask


def _two_parts(study: Study, mask: Mask, box: Box) -> tuple[Mask, Mask] | None:
    """Part a mask (inside ``box``) at the lowest saddle; ``None`` where it has one peak."""
    sigma = [_SMOOTHING_MM / FWHM_PER_SIGMA / step for step in study.spacing_mm]
    height = np.maximum(ndimage.gaussian_filter(study.pet[box], sigma), 1e-6)
    found = basins(height, mask, _LEAST_SADDLE)
    drops = [
        1.0 if np.isnan(saddle) else 1.0 - saddle / top for top, saddle in zip(found.tops, found.saddles, strict=True)
    ]
    hottest = int(found.tops.argmax())
    del drops[hottest]
    if not drops:
        return None
    # Just below the deepest saddle every other peak is joined, and two parts are left.
    parted = basins(height, mask, np.nextafter(max(drops), 0.0)) if len(drops) > 1 else found
    part = parted.labels == 1 + int(parted.tops.argmax())
    return part, mask & ~part


def _distance_mm(study: Study, mask: Mask, box: Box, at: Index) -> float:
    """Return how far a voxel lies from the nearest voxel of a mask given in a box."""
    steps = (indices_of(mask, box) - np.array(at)) * study.spacing_mm
    return float(np.linalg.norm(steps, axis=1).min())


def _focus(study: Study, part: Mask, box: Box) -> Focus:
    inside = ndimage.find_objects(part.astype(np.int8))[0]
    around, basin = placed(box, inside), part[inside]
    at = np.unravel_index(int(np.where(basin, study.pet[around], -np.inf).argmax()), basin.shape)
    x, y, z = (int(one) + side.start for one, side in zip(at, around, strict=True))
    return Focus(around, basin, (x, y, z), float(study.pet[x, y, z]))


def _patient(study: Study, found: Findings) -> Patient:
    maps = _maps(study, found)
    return Patient(study, maps, find_midline(study, maps))


def _maps(study: Study, found: Findings) -> VoxelPrediction:
    """Return what is known of the study without asking the network again: the lesions so far are suspicious."""
    suspicious = (found.labels > 0).astype(np.float32)
    anatomy = np.zeros(study.pet.shape, np.uint8) if study.anatomy is None else study.anatomy
    return VoxelPrediction(suspicious, np.zeros_like(suspicious), anatomy)


def _with(study: Study, exam: Exam, lesions: list[Lesion], labels: LabelVolume) -> Findings:
    """Return the findings with the volume of the malignant lesions measured anew where the exam has one."""
    found = Findings(exam.model_copy(update={"lesions": lesions}), labels)
    if exam.psma_vol_ml is None:
        return found
    malignant = frozenset(one.lesion_id for one in lesions if one.label == MALIGNANT)
    volume = round(tumour_volume_ml(study, found, malignant), 1)
    return replace(found, exam=found.exam.model_copy(update={"psma_vol_ml": volume}))


def _next_id(exam: Exam) -> str:
    """Return the first free name after every L number in the table."""
    numbers = [
        int(one.lesion_id[1:]) for one in exam.lesions if one.lesion_id[:1] == "L" and one.lesion_id[1:].isdigit()
    ]
    return f"L{max(numbers, default=0) + 1}"
