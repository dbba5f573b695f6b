"""The later scans of a patient, each from the one before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from fedpsma.domain.exam import Clinical
from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.anatomy import Anatomy
from fedpsma.phantom.biodistribution import draw_uptake
from fedpsma.phantom.clinical import Burden, draw_later_clinical, draw_retest_clinical, draw_technique
from fedpsma.phantom.documents import describe_foci, exam_of, follow_up_of, prior_of, truth_of
from fedpsma.phantom.followup import (
    Between,
    Course,
    TrackedFocus,
    change_lesions,
    draw_between,
    draw_new_lesions,
    follow_up_table,
    keep_mimics,
    later_body,
    later_uptake,
    passing_mimics,
    place_new,
)
from fedpsma.phantom.lesions import Disease, draw_disease
from fedpsma.phantom.patient import Case, PhantomOptions, PhantomPatient, Visit, finish, first_visit, numbered
from fedpsma.phantom.reposition import draw_pose, lay, lay_focus
from fedpsma.phantom.scanner import draw_exposure
from fedpsma.phantom.sites import SiteProfile, site_profiles
from fedpsma.phantom.visit import Streams, VisitPlan, image_visit

# What goes with the scanner; CT protocol, patients and contours stay those of the site.
_OF_THE_SCANNER = ("name", "spacing_mm", "psf_mm", "overshoot", "liver_cv", "noise_fwhm_mm", "working_mm")
_INDICATIONS: dict[Course, str] = {"retest": "repeated scan"}


@dataclass(frozen=True)
class _Equipment:
    """Scanner and tracer of a later scan."""

    profile: SiteProfile
    tracer: Tracer


def draw_series(site: str, index: int, seed: int, options: PhantomOptions, follow_ups: int) -> Iterator[PhantomPatient]:
    """Make the first scan of a patient and this many later ones.

    The first is that of :func:`fedpsma.phantom.patient.draw_patient`, whatever follows.

    Raises:
        InputError: There is no such site, or the index or seed is negative.
    """
    case = Case(site, index, seed, options)
    visit = first_visit(case)
    yield visit.patient
    for number in range(2, follow_ups + 2):
        visit = _next_visit(case, visit, number)
        yield visit.patient


def _next_visit(case: Case, before: Visit, number: int) -> Visit:
    streams, last = case.streams(number), before.plan
    between = draw_between(streams.context, last.context.scenario, case.options.course)
    equipment = _draw_equipment(streams.context, case, last, between)
    drawn = later_body(streams.body, before.drawn, between.weight_factor)
    own = case.options.anatomy.provide(case.index, drawn, equipment.profile.working_mm)
    foci = _later_foci(streams, before, between, equipment.tracer, own)
    pose = draw_pose(streams.body)
    table = lay(own, pose)
    placed = [lay_focus(one.placed, pose, table) for one in foci]
    plan = _later_plan(case, streams, before, between, equipment, Burden.of(placed))
    plan = replace(plan, study_id=f"{case.name}-{number}")
    scene = image_visit(streams, plan, table, placed)
    described = describe_foci(scene)
    exam = exam_of(plan, scene, described).model_copy(
        update={"prior": prior_of(before.patient.truth, before.patient.report)}
    )
    previous = {new: foci[place].previous for new, place in enumerate(scene.kept, start=1)}
    motion = pose.matrix @ np.linalg.inv(before.pose.matrix)
    truth = truth_of(plan, exam, described)
    truth = truth.model_copy(update={"follow_up": follow_up_of(truth, before.patient.truth, between, previous, motion)})
    patient = finish(streams, plan, scene, truth, before.patient.truth)
    return Visit(patient, plan, drawn, numbered(tuple(foci), scene), pose)


def _draw_equipment(rng: np.random.Generator, case: Case, last: VisitPlan, between: Between) -> _Equipment:
    """Draw whether another tracer or another scanner is used; a scan repeated within days has the same."""
    table, profile = follow_up_table(), last.profile
    tracers = [one for one in Tracer if one != last.tracer and one.facts.targets_psma]
    sites = [one for one in site_profiles().values() if one.name != profile.name]
    other_tracer, other_scanner = rng.random(2) < (table.other_tracer_share, table.other_scanner_share)
    tracer, site = tracers[int(rng.integers(len(tracers)))], sites[int(rng.integers(len(sites)))]
    fixed = between.course == "retest" or case.options.tracer is not None or not last.tracer.facts.targets_psma
    if other_scanner and between.course != "retest":
        profile = profile.model_copy(update={name: getattr(case.on_grid(site), name) for name in _OF_THE_SCANNER})
    return _Equipment(profile, tracer if other_tracer and not fixed else last.tracer)


def _later_foci(
    streams: Streams, before: Visit, between: Between, tracer: Tracer, anatomy: Anatomy
) -> list[TrackedFocus]:
    """Return every focus of the later scan in the man's own frame, the lesions first."""
    context = before.plan.context
    lesions = [one for one in before.foci if one.placed.focus.suspicious]
    benign = [one for one in before.foci if not one.placed.focus.suspicious]
    today = passing_mimics(draw_disease(streams.disease, context.scenario, context.prostate, tracer).mimics)
    new = draw_new_lesions(streams.disease, between.new_lesions, context.scenario, context.prostate, tracer)
    old = change_lesions(streams.disease, lesions, between, anatomy)
    kept = keep_mimics(streams.disease, benign, between, anatomy)
    come = place_new(streams.places, Disease(new, today, confluent=False), [*old, *kept], anatomy)
    appeared = [one for one in come if one.placed.focus.suspicious]
    return [*old, *appeared, *kept, *(one for one in come if not one.placed.focus.suspicious)]


def _later_plan(
    case: Case, streams: Streams, before: Visit, between: Between, equipment: _Equipment, burden: Burden
) -> VisitPlan:
    last, profile, tracer = before.plan, equipment.profile, equipment.tracer
    weight = round((last.technique.weight_kg or 0.0) * between.weight_factor, 1)
    technique = draw_technique(streams.context, profile, tracer, replace(before.drawn, weight_kg=weight))
    technique = technique.model_copy(update={"furosemide": last.technique.furosemide})
    usual = draw_uptake(case.streams().uptake, tracer, burden.tumour_ml, bool(technique.furosemide))
    return replace(
        last,
        day=last.day + timedelta(days=between.days),
        profile=profile,
        tracer=tracer,
        context=replace(
            last.context, indication="repeated scan" if between.course == "retest" else "response assessment"
        ),
        clinical=_later_clinical(streams, before, between, burden),
        technique=technique,
        uptake=later_uptake(streams.uptake, usual, between),
        exposure=draw_exposure(streams.exposure, profile, tracer),
    )


def _later_clinical(streams: Streams, before: Visit, between: Between, burden: Burden) -> Clinical:
    last = before.plan
    if between.course == "retest":
        return draw_retest_clinical(streams.clinical, last.clinical)
    earlier = Burden.of([one.placed for one in before.foci])
    return draw_later_clinical(streams.clinical, last.clinical, last.context, (earlier, burden), between.days)
