"""What can be wrong with one study by itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fedpsma.site_check.facts import OrganSuv, PetFacts
from fedpsma.site_check.limits import Range, limits
from fedpsma.site_check.problems import CheckedStudy, Code, Problem, Severity, impossible_suv, is_whole_body

_ORGANS = {"liver_odd": "liver", "blood_pool_odd": "blood pool"}


def study_problems(study: CheckedStudy) -> list[Problem]:
    """Return every problem of one study, the files first."""
    found = [*_refusals(study), *_index(study)]
    if study.facts.pet is not None:
        found += [*_grid(study, study.facts.pet), *_suv(study, study.facts.pet)]
        if study.is_suv:
            found += [*_organs(study), *_sides(study, study.facts.pet), *_mask(study), *_ct(study)]
    return found


def _problem(study: CheckedStudy, severity: Severity, code: Code, file: str, text: tuple[str, str]) -> Problem:
    what, remedy = text
    return Problem(severity=severity, code=code, file=file, study=study.row.id, what=what, remedy=remedy)


def _refusals(study: CheckedStudy) -> Iterator[Problem]:
    for one in study.facts.refusals:
        yield _problem(study, "error", one.code, one.file, (one.what, one.remedy))


def _index(study: CheckedStudy) -> Iterator[Problem]:
    if study.tracer is None:
        text = ("names no tracer, and neither does dataset.json", "write the tracer into the line")
        yield _problem(study, "error", "tracer_missing", study.where, text)
    if study.row.mask is None:
        remedy = "give a mask, an empty one where the patient has no lesion, or take the line out"
        text = ("has no lesion mask, and training stops at a study without one", remedy)
        yield _problem(study, "error", "mask_missing", study.where, text)


def _grid(study: CheckedStudy, pet: PetFacts) -> Iterator[Problem]:
    rules, file = limits().rules, study.row.pet
    low, high = rules.odd_voxel_mm.value
    edges = " x ".join(f"{edge:.3g}" for edge in pet.spacing_mm)
    if not all(low <= edge <= high for edge in pet.spacing_mm):
        text = (f"has voxels of {edges} mm", "check that it was exported in mm and not resampled")
        yield _problem(study, "warning", "voxel_odd", file, text)
    if not np.allclose(pet.spacing_mm, study.row.spacing, rtol=0.01):
        said = " x ".join(f"{edge:.3g}" for edge in study.row.spacing)
        text = (f"says spacing {said} mm, but {file} has {edges} mm", "correct the line, or import the study again")
        yield _problem(study, "warning", "spacing_differs", study.where, text)
    width, _, length = pet.field_mm
    if width < rules.small_width_mm.value or length < rules.whole_body_mm.value:
        text = (
            f"covers only {width:.0f} mm across and {length:.0f} mm along the body",
            "check that it was not cropped",
        )
        yield _problem(study, "warning", "field_small", file, text)


def _suv(study: CheckedStudy, pet: PetFacts) -> Iterator[Problem]:
    """Judge unit and scale of the PET, the gravest finding alone."""
    why, (low, high) = impossible_suv(pet), limits().rules.odd_body_mean.value
    if why is not None:
        remedy = "convert it again: perhaps it is in Bq/ml, or the dose is in MBq, or the weight in g"
        yield _problem(study, "error", "suv_impossible", study.row.pet, (why, remedy))
    elif study.other_unit is not None:
        what = f"has {study.other_unit:.2g} times the body mean of the other studies, so it seems to have another unit"
        text = (what, "convert it to SUVbw like the others")
        yield _problem(study, "error", "mixed_units", study.row.pet, text)
    elif pet.body_mean is not None and is_whole_body(pet) and not low <= pet.body_mean <= high:
        text = (f"has a mean SUV of {pet.body_mean:.2g} in the body instead of about 1", "check weight, dose and unit")
        yield _problem(study, "warning", "body_mean_odd", study.row.pet, text)


def _organs(study: CheckedStudy) -> Iterator[Problem]:
    if study.tracer is None:
        return
    usual, liver, blood = limits().of_tracer(study.tracer), study.liver, study.blood_pool
    yield from _organ(study, "liver_odd", liver, usual.liver)
    yield from _organ(study, "blood_pool_odd", blood, usual.blood_pool)
    if liver is None or blood is None or blood.mean <= 0:
        return
    ratio, (low, high) = liver.mean / blood.mean, usual.ratio
    if not low <= ratio <= high:
        what = (
            f"has {ratio:.2g} times the uptake of the blood pool in the liver; {study.tracer} has {low:g} to {high:g}"
        )
        text = (what, "check the tracer in the index")
        yield _problem(study, "warning", "liver_blood_ratio_odd", study.row.pet, text)


def _organ(study: CheckedStudy, code: Code, organ: OrganSuv | None, usual: Range) -> Iterator[Problem]:
    if organ is None or usual[0] <= organ.mean <= usual[1]:
        return
    found = "the anatomical map" if organ.found_by == "anatomy" else "rules"
    what = (
        f"{_ORGANS[code]} SUV {organ.mean:.2f} (found by {found}), but {study.tracer} has {usual[0]:g} to {usual[1]:g}"
    )
    remedy = "check the tracer in the index, then dose, weight and clocks"
    yield _problem(study, "warning", code, study.row.pet, (what, remedy))


def _sides(study: CheckedStudy, pet: PetFacts) -> Iterator[Problem]:
    if pet.liver_side == "L":
        remedy = "check the orientation of PET, CT and mask against the scanner; a situs inversus is rare"
        yield _problem(study, "warning", "liver_left", study.row.pet, ("shows the liver on the left", remedy))


def _mask(study: CheckedStudy) -> Iterator[Problem]:
    mask, rules, misfit = study.facts.mask, limits().rules, study.mask_misfit
    if mask is None or study.row.mask is None or misfit is None:
        return
    if misfit == "mask_mirrored":
        what = (
            f"seems mirrored: with left and right swapped its lesions stand out {mask.mirrored_gain:.1f} times as much"
        )
        remedy = "check its orientation against the PET before training: left and right may be wrong everywhere"
    else:
        what = f"hardly lies on uptake: {mask.low_share:.0%} of the lesion volume is below SUV {rules.low_suv.value:g}"
        remedy = "check that it belongs to this PET and is not shifted"
    yield _problem(study, "warning", misfit, study.row.mask, (what, remedy))


def _ct(study: CheckedStudy) -> Iterator[Problem]:
    if study.ct_misfit is not None and study.row.ct is not None:
        text = (study.ct_misfit, "check that it is the CT of this study and in the same place")
        yield _problem(study, "warning", "ct_misfit", study.row.ct, text)
