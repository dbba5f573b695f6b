"""Comparison of two studies on phantom pairs with known truth: matching, RECIP, test-retest, and time. Synthetic.

For every course a few patients are made with one follow-up scan; lesions and volumes are those of the true contours, so
that alignment, matching and rules are measured, not the network. Targets: matching F1 at least 0.93 at up to 10
lesions and 0.89 at 30 or more, the class of RECIP 1.0 right in 95 %, no progression between two scans of an unchanged
man, and 20 s for a pair with 30 lesions on two cores.

``--loaded 30`` takes only patients that are drawn with that many metastases. Phantoms lie otherwise on another day but
do not bend; ``--bend 12`` bends the later scan smoothly by so many mm (SD), as breathing, neck and hips do, and
``--rigid`` leaves the deformable step of the alignment out, which shows what it is worth.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice

import numpy as np
from scipy import ndimage

from fedpsma.comparison.alignment import align, align_rigidly
from fedpsma.comparison.study_pair import Examined, StudyPair, compare_studies
from fedpsma.domain.study import Study
from fedpsma.phantom.clinical import draw_context
from fedpsma.phantom.followup import Course
from fedpsma.phantom.lesions import draw_disease
from fedpsma.phantom.patient import Case, PhantomOptions, PhantomPatient
from fedpsma.phantom.series import draw_series

COURSES: tuple[Course, ...] = ("response", "stable", "mixed", "progression", "retest")
SPACING_MM = 4.0
SITE, SEED = "C", 11
FEW, MANY = 10, 30
BEND_GRID_MM = 100.0


@dataclass(frozen=True)
class Outcome:
    """What one pair gave: lesions in the larger scan, pairs found, missed and wrong, the classes, the time."""

    name: str
    course: str
    lesions: int
    right: int
    wrong: int
    missed: int
    recip: str | None
    true_recip: str | None
    wall_s: float
    cpu_s: float


def examined(patient: PhantomPatient) -> Examined:
    """Return a phantom study with its true lesions, numbered as its exam orders them."""
    study, exam = patient.study, patient.truth.exam.model_copy(update={"prior": None})
    labels = np.zeros(study.pet.shape, dtype=np.int32)
    for number, one in enumerate(exam.lesions, start=1):
        labels[study.lesions == int(one.lesion_id[1:])] = number
    return Examined(replace(study, lesions=labels), exam, synthetic=True)


def true_pairs(earlier: PhantomPatient, later: PhantomPatient) -> set[tuple[str, str]]:
    """Return (before, now) of every lesion that is contoured in both scans."""
    follow_up = later.truth.follow_up
    assert follow_up is not None
    before, now = ({one.lesion_id for one in patient.truth.exam.lesions} for patient in (earlier, later))
    pairs = {(f"L{old}", f"L{row.lesion}") for row in follow_up.lesions for old in row.previous if row.lesion}
    return {(old, new) for old, new in pairs if old in before and new in now}


def found_pairs(pair: StudyPair, earlier: Examined) -> set[tuple[str, str]]:
    """Return (before, now) of every match, by the ids that the lesions have in their own exams."""
    names = {f"P{number}": one.lesion_id for number, one in enumerate(earlier.exam.lesions, start=1)}
    return {(names[old], new) for group in pair.groups for old in group.before for new in group.now}


def indices(first: int, loaded: int) -> Iterator[int]:
    """Yield the patients, from ``first`` on, that are drawn with at least ``loaded`` metastases."""
    for index in count(first):
        case = Case(SITE, index, SEED, PhantomOptions())
        streams = case.streams()
        tracer = case.profile.draw_tracer(streams.context)
        context = draw_context(streams.context, case.profile.draw_scenario(streams.context))
        if len(draw_disease(streams.disease, context.scenario, context.prostate, tracer).lesions) >= loaded:
            yield index


def bent(study: Study, sd_mm: float, seed: int) -> Study:
    """Bend a study by a smooth field of displacements (mm, SD at its nodes)."""
    rng = np.random.default_rng(seed)
    shape, spacing = study.pet.shape, study.spacing_mm
    nodes = [int(np.ceil(size * step / BEND_GRID_MM)) + 3 for size, step in zip(shape, spacing, strict=True)]
    at = np.meshgrid(*(np.linspace(1, node - 2, size) for node, size in zip(nodes, shape, strict=True)), indexing="ij")
    where = [
        grid + ndimage.map_coordinates(rng.normal(0, sd_mm, nodes), at, order=3, mode="nearest") / step
        for grid, step in zip(np.indices(shape), spacing, strict=True)
    ]

    def moved(volume: np.ndarray, order: int) -> np.ndarray:
        return np.asarray(ndimage.map_coordinates(volume, where, order=order, mode="nearest"))

    ct = None if study.ct is None else moved(study.ct, 1)
    lesions = None if study.lesions is None else moved(study.lesions, 0)
    return replace(study, pet=moved(study.pet, 1), ct=ct, lesions=lesions)


def measure(course: Course, index: int, bend_mm: float, rigid: bool) -> Outcome:
    """Make one patient with a follow-up and compare."""
    first, second = draw_series(SITE, index, SEED, PhantomOptions(spacing_mm=SPACING_MM, course=course), 1)
    earlier, later = examined(first), examined(second)
    if bend_mm:
        later = replace(later, study=bent(later.study, bend_mm, index))
    wall, cpu = time.perf_counter(), time.process_time()
    alignment = (align_rigidly if rigid else align)(earlier.study, later.study)
    pair = compare_studies(earlier, later, alignment=alignment)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    true, found = true_pairs(first, second), found_pairs(pair, earlier)
    follow_up = second.truth.follow_up
    assert follow_up is not None
    comparable = pair.assessment.recip is not None or not follow_up.other_tracer
    return Outcome(
        name=first.study.study_id,
        course=course,
        lesions=max(len(earlier.exam.lesions), len(later.exam.lesions)),
        right=len(true & found),
        wrong=len(found - true),
        missed=len(true - found),
        recip=pair.assessment.recip,
        true_recip=follow_up.recip if comparable else None,
        wall_s=wall,
        cpu_s=cpu,
    )


def f1(outcomes: list[Outcome]) -> float:
    """Return the F1 of all pairs together; nan where there is none."""
    right, wrong, missed = (sum(getattr(one, name) for one in outcomes) for name in ("right", "wrong", "missed"))
    return 2 * right / (2 * right + wrong + missed) if right + wrong + missed else float("nan")


def summary(outcomes: list[Outcome]) -> Iterator[str]:
    """Yield one line a target."""
    few = [one for one in outcomes if one.lesions <= FEW]
    many = [one for one in outcomes if one.lesions >= MANY]
    between = [one for one in outcomes if FEW < one.lesions < MANY]
    yield f"matching F1, up to {FEW} lesions ({len(few)} pairs): {f1(few):.3f} (target 0.93)"
    yield f"matching F1, between ({len(between)} pairs): {f1(between):.3f}"
    yield f"matching F1, {MANY} lesions or more ({len(many)} pairs): {f1(many):.3f} (target 0.89)"
    judged = [one for one in outcomes if one.true_recip is not None]
    right = sum(one.recip == one.true_recip for one in judged)
    yield f"RECIP right: {right} of {len(judged)} (target 95 %)"
    retests = [one for one in outcomes if one.course == "retest"]
    yield f"retests called PD: {sum(one.recip == 'PD' for one in retests)} of {len(retests)} (target 0)"
    largest = max(outcomes, key=lambda one: one.cpu_s)
    yield f"longest: {largest.cpu_s:.1f} s of processor, {largest.wall_s:.1f} s wall, {largest.lesions} lesions (20 s)"


def main() -> None:
    """Print a line a pair, then the targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=4, help="patients of each course")
    parser.add_argument("--first", type=int, default=0, help="index of the first patient")
    parser.add_argument("--loaded", type=int, default=0, help="least number of metastases of a patient")
    parser.add_argument("--bend", type=float, default=0.0, help="bend the later scan by this many mm (SD)")
    parser.add_argument("--rigid", action="store_true", help="leave out the deformable step")
    arguments = parser.parse_args()
    outcomes = []
    print(f"{'patient':10}{'course':19}{'lesions':>8}{'right':>7}{'wrong':>7}{'missed':>8}  RECIP (true)  {'s':>5}")
    chosen = list(islice(indices(arguments.first, arguments.loaded), arguments.patients))
    for course in COURSES:
        for index in chosen:
            one = measure(course, index, arguments.bend, arguments.rigid)
            outcomes.append(one)
            print(
                f"{one.name:10}{one.course:19}{one.lesions:8}{one.right:7}{one.wrong:7}{one.missed:8}"
                f"  {one.recip or '-':5} ({one.true_recip or '-'})  {one.cpu_s:9.1f}",
                flush=True,
            )
    for line in summary(outcomes):
        print(line)


if __name__ == "__main__":
    main()
