"""The whole comparison of synthetic with real patients: draw a cohort, measure it, judge it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedpsma.errors import InputError
from fedpsma.phantom.realism.checks import (
    classifier_checks,
    cost_check,
    geometry_checks,
    lesion_volume_check,
    liver_noise_checks,
    organ_suv_checks,
    recovery_checks,
)
from fedpsma.phantom.realism.cost import Cost, measure_cost
from fedpsma.phantom.realism.figures import PatientFigures, draw_figures, plan_cohort
from fedpsma.phantom.realism.reference import Reference, read_reference
from fedpsma.phantom.realism.report import Check, RealismReport
from fedpsma.phantom.realism.targets import targets


@dataclass(frozen=True)
class RealismOptions:
    """How large a cohort to draw, and with what to compare it.

    Args:
        patients: Patients of each tracer.
        seed: The same seed gives the same cohort.
        reference: Folder (or table) with real rows, for the classifier and the exact distances.
        workers: Processes that draw patients.
    """

    patients: int = 50
    seed: int = 1
    reference: Path | None = None
    workers: int = 2

    def __post_init__(self) -> None:
        if self.patients < 2 or self.seed < 0 or self.workers < 1:
            raise InputError(
                f"{self.patients} patients, seed {self.seed}, {self.workers} workers cannot be measured",
                where="realism",
                remedy="give two patients or more, a seed from 0 and one worker or more",
            )

    @property
    def total_patients(self) -> int:
        """Patients of all tracers."""
        return self.patients * len(targets().cohort.tracers)


def measure_realism(options: RealismOptions, on_patient: Callable[[], None] | None = None) -> RealismReport:
    """Draw a synthetic cohort and compare it with what real studies show.

    Takes about a second a patient and process. ``on_patient`` is called once a patient.

    Raises:
        InputError: The real rows cannot be read.
    """
    reference = None if options.reference is None else read_reference(options.reference)
    cost = measure_cost()
    cohort = []
    for figures in draw_figures(plan_cohort(options.patients, options.seed), options.workers):
        cohort.append(figures)
        if on_patient is not None:
            on_patient()
    return RealismReport(
        note=f"All patients are synthetic. {targets().note}",
        patients_per_tracer=options.patients,
        seed=options.seed,
        checks=tuple(_checks(cohort, cost, reference, options.seed)),
    )


def _checks(cohort: list[PatientFigures], cost: Cost, reference: Reference | None, seed: int) -> Iterator[Check]:
    yield from organ_suv_checks(cohort)
    yield from liver_noise_checks(cohort)
    yield lesion_volume_check(cohort)
    yield from recovery_checks()
    yield from geometry_checks(cohort, reference)
    yield from classifier_checks(cohort, reference, seed)
    yield cost_check(cost)
