"""One scan of one man: what is drawn of it, and how it becomes images."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.exam import Clinical, Technique
from fedpsma.domain.study import FloatVolume, Study
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.biodistribution import activity_by_tissue
from fedpsma.phantom.clinical import Context
from fedpsma.phantom.contours import draw_mask
from fedpsma.phantom.ct import image_ct
from fedpsma.phantom.grid import Grid, sample_nearest
from fedpsma.phantom.pattern import activity_volume, draw_pattern
from fedpsma.phantom.placement import PlacedFocus, shape_focus
from fedpsma.phantom.report import Language
from fedpsma.phantom.scanner import (
    Exposure,
    ImagedFocus,
    add_foci,
    add_noise,
    image_background,
    image_focus,
)
from fedpsma.phantom.sites import SiteProfile

# A focus has to fill this much of a voxel somewhere, else it lies outside the field of view.
_LEAST_OCCUPANCY = 0.1
_RELABELLED = tuple(
    one.number
    for one in anatomy_classes()
    if one.name == "soft_tissue" or (one.region is not None and one.region.is_node)
)


@dataclass(frozen=True)
class VisitPlan:
    """All that is drawn of a scan before a voxel is made, but for the foci; ``uptake`` is SUVmean by organ."""

    study_id: str
    patient_id: str
    site: str
    day: date
    profile: SiteProfile
    tracer: Tracer
    context: Context
    clinical: Clinical
    technique: Technique
    uptake: dict[str, float]
    exposure: Exposure
    language: Language


@dataclass(frozen=True)
class Streams:
    """The random streams of one scan: each part has its own, so that a change in one leaves the others alone."""

    context: np.random.Generator
    body: np.random.Generator
    disease: np.random.Generator
    uptake: np.random.Generator
    places: np.random.Generator
    exposure: np.random.Generator
    pet_noise: np.random.Generator
    ct_noise: np.random.Generator
    clinical: np.random.Generator
    calendar: np.random.Generator
    report: np.random.Generator
    pattern: np.random.Generator

    @classmethod
    def of(cls, site: str, index: int, seed: int, *later: int) -> Streams:
        """Return fresh streams of a patient's first scan, or of the later scan of this number."""
        root = np.random.SeedSequence([seed, zlib.crc32(site.encode()), index, *later])
        return cls(*(np.random.default_rng(child) for child in root.spawn(12)))


@dataclass(frozen=True)
class Scene:
    """The imaged man on the PET grid, arrays (x, y, z).

    ``foci`` are those in the field of view with the lesions first, ``kept`` their places among the foci given; ``pet``
    is SUV with noise, ``ideal`` without; ``mask`` numbers the lesions, ``tissues`` and ``classes`` are labels.
    """

    grid: Grid
    foci: tuple[ImagedFocus, ...]
    kept: tuple[int, ...]
    classes: NDArray[np.uint8]
    tissues: NDArray[np.uint8]
    ideal: FloatVolume
    pet: FloatVolume
    ct: FloatVolume | None
    mask: NDArray[np.int32]


def image_visit(streams: Streams, plan: VisitPlan, anatomy: Anatomy, placed: Sequence[PlacedFocus]) -> Scene:
    """Image a man who lies on the table with these foci, the lesions first."""
    grid = anatomy.grid.with_spacing(plan.profile.spacing_mm)
    activity = activity_by_tissue(plan.uptake)
    shapes = (shape_focus(one, anatomy, plan.exposure.margin_mm) for one in placed)
    imaged = [image_focus(shape, anatomy, activity, plan.exposure, grid) for shape in shapes]
    kept = [place for place, one in enumerate(imaged) if one.occupancy.size and one.occupancy.max() >= _LEAST_OCCUPANCY]
    foci = tuple(imaged[place] for place in kept)
    uneven = activity_volume(anatomy, plan.uptake, draw_pattern(streams.pattern, plan.tracer))
    ideal = add_foci(image_background(anatomy, uneven, plan.exposure, grid), foci)
    liver = plan.uptake["liver"]
    lesions = [one for one in foci if one.shape.placed.focus.suspicious]
    return Scene(
        grid=grid,
        foci=foci,
        kept=tuple(kept),
        classes=_classes_on(grid, anatomy, foci),
        tissues=sample_nearest(anatomy.tissue, anatomy.grid, grid),
        ideal=ideal,
        pet=add_noise(streams.pet_noise, ideal, liver, plan.exposure, grid),
        ct=image_ct(streams.ct_noise, anatomy, foci, plan.exposure, grid),
        mask=draw_mask(ideal, lesions, plan.profile.contour, (liver, liver * plan.exposure.liver_cv)),
    )


def study_of(plan: VisitPlan, scene: Scene) -> Study:
    """Return the images as a study on the PET grid."""
    return Study(
        study_id=plan.study_id,
        patient_id=plan.patient_id,
        pet=scene.pet,
        affine=scene.grid.affine,
        tracer=plan.tracer,
        ct=scene.ct,
        lesions=scene.mask,
        anatomy=scene.classes,
        date=plan.day.isoformat(),
        technique=plan.technique,
    )


def _classes_on(grid: Grid, anatomy: Anatomy, foci: tuple[ImagedFocus, ...]) -> NDArray[np.uint8]:
    """Bring the classes to the PET grid; a node that grew out of its station still belongs to it."""
    classes: NDArray[np.uint8] = sample_nearest(anatomy.classes, anatomy.grid, grid)
    for focus in foci:
        if focus.shape.placed.class_number in _RELABELLED:
            view = classes[focus.box]
            view[(focus.occupancy >= 0.5) & np.isin(view, _RELABELLED)] = focus.shape.placed.class_number
    return classes
