"""Which series of a study are read: the attenuation-corrected PET, and the CT that lies under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from fedpsma.errors import InputError
from fedpsma.io.dicom.find import DicomStudy, Series
from fedpsma.io.dicom.tags import tag_name
from fedpsma.io.resample import NO_CT

# ImageType values of pictures that were computed from the images: projections, reformats, screen captures.
_NO_SLICES = ("LOCALIZER", "MIP", "MPR", "PROJECTION", "REFORMATTED", "SCREEN", "CURVED", "VOLREN", "RENDER")
_PARALLEL = 0.95


@dataclass(frozen=True)
class Choice:
    """The series that make up the study, and what the reader must know of the choice."""

    pet: Series
    ct: Series | None
    notes: tuple[str, ...]


def choose(study: DicomStudy, pattern: str | None) -> Choice:
    """Choose PET and CT of a study.

    Args:
        study: As found.
        pattern: A glob for number or description of the PET series, upper and lower case alike; by default the one
            series with attenuation correction is taken.

    Raises:
        InputError: There is no PET, or more than one that could be meant, or its slices are strewn over series.
    """
    pet, notes = _choose_pet(study, pattern)
    _require_one_frame(pet)
    ct, ct_notes = _choose_ct(study, pet)
    return Choice(pet, ct, (*notes, *ct_notes))


def _choose_pet(study: DicomStudy, pattern: str | None) -> tuple[Series, tuple[str, ...]]:
    if not study.pet:
        raise _no_pet(study)
    _require_no_stray(study)
    stacks = [one for one in study.pet if _is_slices(one)]
    if not stacks:
        raise InputError(
            f"holds no PET slices, but pictures computed from them: {_names(study.pet)}",
            where=study.name,
            remedy="export the PET as well",
        )
    if pattern is not None:
        candidates = [one for one in stacks if _fits(one, pattern)]
        if not candidates:
            raise InputError(
                f"has no PET series that fits {pattern!r}, but {_names(study.pet)}",
                where=study.name,
                remedy="give number or description of one of them",
            )
    else:
        corrected = [one for one in stacks if "ATTN" in one.first.corrections]
        candidates = _preferred(corrected or stacks, lambda one: "ORIGINAL" in one.first.image_type)
    if len(candidates) > 1:
        raise InputError(
            f"holds {len(candidates)} PET series: {_names(candidates)}",
            where=study.name,
            remedy="choose one by number or description",
        )
    pet = candidates[0]
    left = [f"not read: {one.label}, {_why_left(one, pattern)}" for one in study.pet if one is not pet]
    return pet, tuple(sorted(left))


def _why_left(one: Series, pattern: str | None) -> str:
    if not _is_slices(one):
        return "no stack of slices"
    if pattern is not None:
        return "not chosen"
    return "derived" if "ATTN" in one.first.corrections else "without attenuation correction"


def _require_no_stray(study: DicomStudy) -> None:
    """Refuse a slice that bears number and description of another series, which then misses it."""
    whole = {one.name for one in study.pet if len(one.instances) > 1}
    for one in study.pet:
        if len(one.instances) == 1 and one.name in whole:
            raise InputError(
                f"has a slice of {one.name} under another {tag_name('SeriesInstanceUID')}",
                where=str(one.first.path),
                remedy="export the series again",
            )


def _choose_ct(study: DicomStudy, pet: Series) -> tuple[Series | None, tuple[str, ...]]:
    """Take the CT of the same frame of reference that covers most of the PET, with the most slices."""
    frame = pet.first.frame_of_reference
    axial = [_without_localizers(one) for one in study.ct]
    stacks = [one for one in axial if len(one.instances) > 1 and _is_slices(one) and _is_parallel(one, pet)]
    fitting = [one for one in stacks if frame is not None and one.first.frame_of_reference == frame]
    if not fitting:
        other = ("the CT lies in another frame of reference than the PET and was not read",) if stacks else ()
        return None, (*other, NO_CT)
    fitting = _preferred(fitting, lambda one: "ORIGINAL" in one.first.image_type)
    best = max(fitting, key=lambda one: (round(_overlap(one, pet), 2), len(one.instances), one.name))
    _require_one_frame(best)
    if best.first.patient != pet.first.patient:
        raise InputError(
            "has a CT of another PatientID (0010,0020) than the PET", where=study.name, remedy="take them apart"
        )
    return best, tuple(sorted(f"not read: {one.label}" for one in fitting if one is not best))


def _require_one_frame(series: Series) -> None:
    if len({one.frame_of_reference for one in series.instances}) > 1:
        raise InputError(
            f"mixes slices of different {tag_name('FrameOfReferenceUID')}",
            where=f"{series.first.path.parent}, {series.name}",
            remedy="export one series alone",
        )


def _without_localizers(series: Series) -> Series:
    """Drop the scout views that some scanners put into the series of the slices."""
    slices = tuple(one for one in series.instances if "LOCALIZER" not in one.image_type)
    return Series(slices or series.instances)


def _preferred(series: list[Series], is_better: Callable[[Series], bool]) -> list[Series]:
    return [one for one in series if is_better(one)] or series


def _is_slices(series: Series) -> bool:
    kinds = " ".join(series.first.image_type).upper()
    return not any(word in kinds for word in _NO_SLICES)


def _is_parallel(ct: Series, pet: Series) -> bool:
    """Tell whether the slices of the CT are cut as those of the PET; an enhanced PET does not tell in its index."""
    if pet.first.orientation is None:
        return True
    normals = [_normal(one) for one in (ct, pet)]
    return bool(abs(normals[0] @ normals[1]) > _PARALLEL)


def _normal(series: Series) -> NDArray[np.float64]:
    cosines = series.first.orientation
    if cosines is None or len(cosines) != 6:
        return np.zeros(3)
    return np.cross(cosines[:3], cosines[3:])


def _overlap(ct: Series, pet: Series) -> float:
    """Return the share of the PET's length along its normal that the CT covers; 1 where the PET does not tell it."""
    normal = _normal(pet)
    spans = []
    for one in (ct, pet):
        places = [
            float(normal @ image.position) for image in one.instances if image.position and len(image.position) == 3
        ]
        spans.append((min(places, default=0.0), max(places, default=0.0)))
    (ct_low, ct_high), (pet_low, pet_high) = spans
    if pet_high <= pet_low:
        return 1.0
    return max(min(ct_high, pet_high) - max(ct_low, pet_low), 0.0) / (pet_high - pet_low)


def _fits(series: Series, pattern: str) -> bool:
    texts = (series.first.number, series.first.description)
    return any(text is not None and fnmatchcase(text.casefold(), pattern.casefold()) for text in texts)


def _names(series: tuple[Series, ...] | list[Series]) -> str:
    return "; ".join(sorted(one.name for one in series))


def _no_pet(study: DicomStudy) -> InputError:
    found = ", ".join(sorted({*(one.first.modality for one in study.ct), *study.others})) or "contours"
    return InputError(f"holds no PET series (only {found})", where=study.name, remedy="export the PET as well")
