"""One synthetic patient: everything about him is drawn first, then he is imaged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.study import FloatVolume, Study
from fedpsma.domain.tracer import Tracer
from fedpsma.errors import InputError
from fedpsma.phantom.biodistribution import draw_uptake
from fedpsma.phantom.body import BodyParameters, draw_body
from fedpsma.phantom.clinical import Burden, draw_clinical, draw_context, draw_date, draw_technique
from fedpsma.phantom.documents import describe_foci, exam_of, truth_of
from fedpsma.phantom.followup import Course, TrackedFocus
from fedpsma.phantom.lesions import draw_disease
from fedpsma.phantom.placement import place_disease
from fedpsma.phantom.providers import PARAMETRIC, AnatomyProvider
from fedpsma.phantom.report import Language, site_language, write_report
from fedpsma.phantom.reposition import Pose
from fedpsma.phantom.scanner import draw_exposure
from fedpsma.phantom.sites import SiteProfile, site_profile
from fedpsma.phantom.truth import PatientTruth, TrueAssessment, assess_truth
from fedpsma.phantom.visit import Scene, Streams, VisitPlan, image_visit, study_of

_SPACING_MM = (1.0, 10.0)


@dataclass(frozen=True)
class PhantomOptions:
    """What may differ from a site's own way of making patients.

    Args:
        spacing_mm: Isotropic voxel of the PET grid in mm; the site's own grid without it.
        anatomy: Where the bodies come from.
        tracer: Tracer of every scan; drawn from the site's own without it.
        course: What happens between scans; drawn for each patient without it. ``retest`` repeats a scan within days.
        language: Language of the reports; the site's own without it.
    """

    spacing_mm: float | None = None
    anatomy: AnatomyProvider = PARAMETRIC
    tracer: Tracer | None = None
    course: Course | None = None
    language: Language | None = None

    def __post_init__(self) -> None:
        if self.spacing_mm is not None and not _SPACING_MM[0] <= self.spacing_mm <= _SPACING_MM[1]:
            raise InputError(
                f"{self.spacing_mm:g} mm is not between {_SPACING_MM[0]:g} and {_SPACING_MM[1]:g} mm",
                where="spacing",
                remedy="give the edge of a PET voxel",
            )

    @property
    def told(self) -> tuple[str, ...]:
        """What differs from a site's own way, in words."""
        chosen = (
            None if self.spacing_mm is None else f"{self.spacing_mm:g} mm",
            self.anatomy.told,
            self.tracer,
            None if self.course is None else f"course {self.course}",
            None if self.language is None else f"reports {self.language}",
        )
        return tuple(str(one) for one in chosen if one is not None)


_PLAIN = PhantomOptions()


@dataclass(frozen=True)
class PhantomPatient:
    """A synthetic study with its truth, arrays (x, y, z) on the PET grid.

    ``ideal`` is the PET (SUV) without noise, ``tissues`` holds the labels of :func:`fedpsma.phantom.tables.tissues`.
    """

    study: Study
    truth: PatientTruth
    assessment: TrueAssessment
    report: str
    ideal: FloatVolume
    tissues: NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """Who is made, and how.

    Raises:
        InputError: The index or seed is negative.
    """

    site: str
    index: int
    seed: int
    options: PhantomOptions

    def __post_init__(self) -> None:
        if self.index < 0 or self.seed < 0:
            lowest = min(self.index, self.seed)
            raise InputError(f"{lowest} is negative", where="index or seed", remedy="give 0 or more")

    @property
    def profile(self) -> SiteProfile:
        """The site, with the voxels asked for."""
        return self.on_grid(site_profile(self.site))

    @property
    def name(self) -> str:
        """The pseudonym of the patient, and the id of his first study."""
        return f"{self.site}{self.index:04d}"

    def on_grid(self, profile: SiteProfile) -> SiteProfile:
        """Return a scanner with the voxels asked for."""
        edge = self.options.spacing_mm
        return profile if edge is None else profile.model_copy(update={"spacing_mm": (edge,) * 3})

    @property
    def language(self) -> Language:
        """The language of his reports."""
        return self.options.language or site_language(self.site)

    def streams(self, *later: int) -> Streams:
        """Return fresh streams of his first scan, or of a later one."""
        return Streams.of(self.site, self.index, self.seed, *later)


@dataclass(frozen=True)
class Visit:
    """A scan with what the next one starts from: the body as drawn, and the foci in the man's own frame."""

    patient: PhantomPatient
    plan: VisitPlan
    drawn: BodyParameters
    foci: tuple[TrackedFocus, ...]
    pose: Pose


def draw_patient(site: str, index: int, seed: int, options: PhantomOptions = _PLAIN) -> PhantomPatient:
    """Make the first scan of patient ``index`` (from 0) of a synthetic site.

    The study holds PET (SUV), CT (HU, where the site has one), lesion numbers by the site's contour convention, and
    anatomy classes, all on the PET grid. It depends on site, index, seed and options only.

    Raises:
        InputError: There is no such site, or the index or seed is negative.
    """
    return first_visit(Case(site, index, seed, options)).patient


def first_visit(case: Case) -> Visit:
    """Make the first scan of a patient with what a later one starts from."""
    streams, profile = case.streams(), case.profile
    tracer = profile.draw_tracer(streams.context)
    tracer = case.options.tracer or tracer
    context = draw_context(streams.context, profile.draw_scenario(streams.context))
    drawn = draw_body(streams.body, context.prostate, head=tracer is Tracer.FDG)
    anatomy = case.options.anatomy.provide(case.index, drawn, profile.working_mm)
    disease = draw_disease(streams.disease, context.scenario, context.prostate, tracer)
    placed = place_disease(streams.places, disease, anatomy)
    burden = Burden.of(placed)
    technique = draw_technique(streams.context, profile, tracer, drawn)
    plan = VisitPlan(
        study_id=case.name,
        patient_id=case.name,
        site=case.site,
        day=draw_date(streams.calendar),
        profile=profile,
        tracer=tracer,
        context=context,
        clinical=draw_clinical(streams.clinical, context, burden),
        technique=technique,
        uptake=draw_uptake(streams.uptake, tracer, burden.tumour_ml, bool(technique.furosemide)),
        exposure=draw_exposure(streams.exposure, profile, tracer),
        language=case.language,
    )
    scene = image_visit(streams, plan, anatomy, placed)
    described = describe_foci(scene)
    truth = truth_of(plan, exam_of(plan, scene, described), described)
    foci = tuple(TrackedFocus(one, ()) for one in placed)
    return Visit(finish(streams, plan, scene, truth), plan, drawn, numbered(foci, scene), Pose())


def finish(
    streams: Streams, plan: VisitPlan, scene: Scene, truth: PatientTruth, before: PatientTruth | None = None
) -> PhantomPatient:
    """Put images, truth, assessment and report together; ``before`` is the truth of the scan before."""
    assessment = assess_truth(truth)
    report = write_report(streams.report, truth, before, assessment.true_mitnm_string)
    return PhantomPatient(study_of(plan, scene), truth, assessment, report, scene.ideal, scene.tissues)


def numbered(foci: tuple[TrackedFocus, ...], scene: Scene) -> tuple[TrackedFocus, ...]:
    """Return the foci that were imaged, each with the number it has in this scan."""
    return tuple(replace(foci[place], previous=(number,)) for number, place in enumerate(scene.kept, start=1))
