"""The cohort that is measured, and what is kept of each of its patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from fedpsma.domain.tracer import Tracer
from fedpsma.phantom.patient import PhantomOptions, PhantomPatient, draw_patient
from fedpsma.phantom.realism.measures import (
    LiverNoise,
    OrganFigures,
    geometry,
    labels_of,
    liver_noise,
    midline_index,
    organ_figures,
)
from fedpsma.phantom.realism.targets import targets


@dataclass(frozen=True)
class PatientFigures:
    """What the checks need of one synthetic patient; volumes in ml."""

    site: str
    tracer: Tracer
    furosemide: bool
    organs: dict[str, OrganFigures]
    liver: LiverNoise | None
    lesion_volumes_ml: tuple[float, ...]
    geometry: dict[str, float]


@dataclass(frozen=True)
class Member:
    """One patient of the cohort to be drawn."""

    site: str
    tracer: Tracer
    index: int
    seed: int


def plan_cohort(patients: int, seed: int) -> tuple[Member, ...]:
    """Return the members of the cohort: this many of each tracer, spread over its sites by their shares.

    Example:
        >>> [(one.site, one.index) for one in plan_cohort(2, seed=1)][:2]
        [('B', 0), ('C', 0)]
    """
    members = []
    for number, (tracer, shares) in enumerate(targets().cohort.tracers.items()):
        for site, size in _apportion(shares, patients).items():
            members += [Member(site, tracer, number * patients + index, seed) for index in range(size)]
    return tuple(members)


def _apportion(shares: dict[str, float], total: int) -> dict[str, int]:
    """Split a number by shares, the largest remainders rounded up."""
    exact = {name: total * share / sum(shares.values()) for name, share in shares.items()}
    sizes = {name: int(value) for name, value in exact.items()}
    by_rest = sorted(exact, key=lambda name: sizes[name] - exact[name])
    for name in by_rest[: total - sum(sizes.values())]:
        sizes[name] += 1
    return sizes


def draw_figures(members: Sequence[Member], workers: int) -> Iterator[PatientFigures]:
    """Yield the figures of each member in order, drawn by this many processes."""
    if workers == 1:
        yield from map(measure_member, members)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(measure_member, members)


def measure_member(member: Member) -> PatientFigures:
    """Draw one member and measure him."""
    spacing = targets().cohort.spacing_mm.get(member.site)
    options = PhantomOptions(spacing_mm=spacing, tracer=member.tracer)
    return measure_patient(draw_patient(member.site, member.index, member.seed, options), member)


def measure_patient(patient: PhantomPatient, member: Member) -> PatientFigures:
    """Measure one synthetic patient."""
    study, labels = patient.study, patient.tissues
    spacing = study.spacing_mm
    lesion = np.zeros(labels.shape, dtype=bool) if study.lesions is None else study.lesions > 0
    midline = midline_index(labels)
    measured = {one.name: organ_figures(one, labels, study.pet, lesion, midline) for one in targets().organs}
    liver = labels_of(("liver",))[labels] & ~lesion
    return PatientFigures(
        site=member.site,
        tracer=member.tracer,
        furosemide=bool(study.technique and study.technique.furosemide),
        organs={name: value for name, value in measured.items() if value is not None},
        liver=liver_noise(liver, study.pet, spacing, targets().noise.radius_mm),
        lesion_volumes_ml=tuple(one.volume_ml for one in patient.truth.lesions),
        geometry=geometry(targets().geometry.tissues, labels, spacing),
    )
