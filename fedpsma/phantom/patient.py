"""One synthetic patient: everything about him is drawn first, then he is imaged."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.anatomy import anatomy_classes
from fedpsma.domain.exam import Exam, ReferenceSuv, Technique
from fedpsma.domain.study import FloatVolume, Study
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.phantom.anatomy import Anatomy, build_anatomy
from fedpsma.phantom.biodistribution import activity_by_tissue, draw_uptake
from fedpsma.phantom.body import BodyParameters, draw_body
from fedpsma.phantom.clinical import Context, draw_context, draw_technique
from fedpsma.phantom.contours import draw_mask
from fedpsma.phantom.grid import Grid, sample_nearest
from fedpsma.phantom.lesions import Disease, draw_disease
from fedpsma.phantom.placement import place_disease, shape_focus
from fedpsma.phantom.scanner import (
    Exposure,
    ImagedFocus,
    add_foci,
    add_noise,
    draw_exposure,
    image_background,
    image_ct,
    image_focus,
)
from fedpsma.phantom.sites import SiteProfile, site_profile
from fedpsma.phantom.truth import FocusTruth, PatientTruth, describe_focus, exam_lesion

# A focus has to fill this much of a voxel somewhere, else it lies outside the field of view.
_LEAST_OCCUPANCY = 0.1
_RELABELLED = tuple(
    one.number
    for one in anatomy_classes()
    if one.name == "soft_tissue" or (one.region is not None and one.region.is_node)
)


@dataclass(frozen=True)
class PhantomPatient:
    """A synthetic study with its truth; ``ideal`` is the PET (SUV, x y z) without noise."""

    study: Study
    truth: PatientTruth
    ideal: FloatVolume


@dataclass(frozen=True)
class PatientPlan:
    """All that is drawn of a patient before a voxel is made; ``uptake`` is SUVmean by organ."""

    study_id: str
    site: str
    profile: SiteProfile
    tracer: Tracer
    context: Context
    body: BodyParameters
    technique: Technique
    disease: Disease
    uptake: dict[str, float]
    exposure: Exposure


@dataclass(frozen=True)
class _Streams:
    """The random streams of one patient: each part has its own, so that a change in one leaves the others alone."""

    context: np.random.Generator
    body: np.random.Generator
    disease: np.random.Generator
    uptake: np.random.Generator
    places: np.random.Generator
    exposure: np.random.Generator
    pet_noise: np.random.Generator
    ct_noise: np.random.Generator

    @classmethod
    def of(cls, site: str, index: int, seed: int) -> _Streams:
        root = np.random.SeedSequence([seed, zlib.crc32(site.encode()), index])
        return cls(*(np.random.default_rng(child) for child in root.spawn(8)))


@dataclass(frozen=True)
class _Scene:
    """The imaged patient on the site's grid before noise: foci with the lesions first, classes, ideal PET, mask."""

    anatomy: Anatomy
    grid: Grid
    foci: tuple[ImagedFocus, ...]
    classes: NDArray[np.uint8]
    ideal: FloatVolume
    mask: NDArray[np.int32]


def draw_patient(site: str, index: int, seed: int) -> PhantomPatient:
    """Make patient ``index`` (from 0) of a synthetic site.

    The study holds PET (SUV), CT (HU, where the site has one), lesion numbers by the site's contour convention, and
    anatomy classes, all on the site's PET grid. He depends on site, index and seed only.

    Raises:
        InputError: There is no such site, or the index or seed is negative.
    """
    profile = site_profile(site)
    if index < 0 or seed < 0:
        raise InputError(f"{min(index, seed)} is negative", where="index or seed", remedy="give 0 or more")
    streams = _Streams.of(site, index, seed)
    plan = _draw_plan(streams, profile, site, index)
    scene = _build_scene(streams, plan)
    pet = add_noise(streams.pet_noise, scene.ideal, plan.uptake["liver"], plan.exposure, scene.grid)
    study = Study(
        study_id=plan.study_id,
        patient_id=plan.study_id,
        pet=pet,
        affine=scene.grid.affine,
        tracer=plan.tracer,
        ct=image_ct(streams.ct_noise, scene.anatomy, scene.foci, profile, scene.grid),
        lesions=scene.mask,
        anatomy=scene.classes,
        technique=plan.technique,
    )
    return PhantomPatient(study, _describe(plan, scene, pet), scene.ideal)


def _draw_plan(streams: _Streams, profile: SiteProfile, site: str, index: int) -> PatientPlan:
    tracer = profile.draw_tracer(streams.context)
    context = draw_context(streams.context, profile.draw_scenario(streams.context))
    body = draw_body(streams.body, context.prostate)
    technique = draw_technique(streams.context, profile, tracer, body)
    disease = draw_disease(streams.disease, context.scenario, context.prostate, tracer)
    uptake = draw_uptake(streams.uptake, tracer, disease.tumour_ml, bool(technique.furosemide))
    exposure = draw_exposure(streams.exposure, profile, tracer)
    return PatientPlan(f"{site}{index:04d}", site, profile, tracer, context, body, technique, disease, uptake, exposure)


def _build_scene(streams: _Streams, plan: PatientPlan) -> _Scene:
    anatomy = build_anatomy(plan.body, plan.profile.working_mm)
    grid = anatomy.grid.with_spacing(plan.profile.spacing_mm)
    activity = activity_by_tissue(plan.uptake)
    placed = place_disease(streams.places, plan.disease, anatomy)
    shapes = (shape_focus(one, anatomy, plan.exposure.margin_mm) for one in placed)
    imaged = (image_focus(shape, anatomy, activity, plan.exposure, grid) for shape in shapes)
    foci = tuple(one for one in imaged if one.occupancy.size and one.occupancy.max() >= _LEAST_OCCUPANCY)
    ideal = add_foci(image_background(anatomy, activity, plan.exposure, grid), foci)
    lesions = [one for one in foci if one.shape.placed.focus.suspicious]
    liver = (plan.uptake["liver"], plan.uptake["liver"] * plan.exposure.liver_cv)
    mask = draw_mask(ideal, lesions, plan.profile.contour, liver)
    return _Scene(anatomy, grid, foci, _classes_on(grid, anatomy, foci), ideal, mask)


def _classes_on(grid: Grid, anatomy: Anatomy, foci: tuple[ImagedFocus, ...]) -> NDArray[np.uint8]:
    """Bring the classes to the site's grid; a node that grew out of its station still belongs to it."""
    classes: NDArray[np.uint8] = sample_nearest(anatomy.classes, anatomy.grid, grid)
    for focus in foci:
        if focus.shape.placed.class_number in _RELABELLED:
            view = classes[focus.box]
            view[(focus.occupancy >= 0.5) & np.isin(view, _RELABELLED)] = focus.shape.placed.class_number
    return classes


def _describe(plan: PatientPlan, scene: _Scene, pet: FloatVolume) -> PatientTruth:
    truths = [
        describe_focus(number, focus, pet, scene.mask, scene.grid.voxel_ml)
        for number, focus in enumerate(scene.foci, start=1)
    ]
    return PatientTruth(
        title=f"Synthetic patient {plan.study_id}: {plan.context.indication}",
        study_id=plan.study_id,
        site=plan.site,
        scenario=plan.context.scenario,
        exam=_exam_of(plan, scene, truths, pet),
        foci=tuple(truths),
        organ_suv={name: round(value, 2) for name, value in plan.uptake.items()},
        liver_cv=round(plan.exposure.liver_cv, 3),
    )


def _exam_of(plan: PatientPlan, scene: _Scene, truths: list[FocusTruth], pet: FloatVolume) -> Exam:
    """Return the exam that a reader who knows the truth would table: every contoured lesion, no benign focus."""
    contoured = [(truth, focus) for truth, focus in zip(truths, scene.foci, strict=True) if truth.contoured]
    uptake = plan.uptake
    return Exam(
        tracer=plan.tracer,
        indication=plan.context.indication,
        clinical=plan.context.clinical,
        technique=plan.technique,
        reference_suv=ReferenceSuv(
            **{name: round(uptake[name], 1) for name in ("blood_pool", "liver", "spleen", "parotid")}
        ),
        psma_vol_ml=round(sum(truth.mask_ml for truth, _ in contoured), 2),
        lesions=[exam_lesion(truth, focus, pet, scene.mask) for truth, focus in contoured],
    )
