"""What is written down of a scan: its exam, its truth, and the prior that it is for the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedpsma.domain.exam import Exam, Prior, PriorLesion, ReferenceSuv
from fedpsma.phantom.followup import Between, follow_up_table
from fedpsma.phantom.truth import (
    FocusTruth,
    FollowUpTruth,
    PatientTruth,
    count_new,
    describe_changes,
    describe_focus,
    exam_lesion,
    true_recip,
)
from fedpsma.phantom.visit import Scene, VisitPlan


def describe_foci(scene: Scene) -> tuple[FocusTruth, ...]:
    """Write down every focus with its number, the lesions first."""
    return tuple(
        describe_focus(number, focus, scene.pet, scene.mask, scene.grid.voxel_ml)
        for number, focus in enumerate(scene.foci, start=1)
    )


def exam_of(plan: VisitPlan, scene: Scene, truths: Sequence[FocusTruth]) -> Exam:
    """Return the exam that a reader who knows the truth would table: every contoured lesion, no benign focus."""
    contoured = [(truth, focus) for truth, focus in zip(truths, scene.foci, strict=True) if truth.contoured]
    has_ct = scene.ct is not None
    return Exam(
        tracer=plan.tracer,
        indication=plan.context.indication,
        clinical=plan.clinical,
        technique=plan.technique,
        reference_suv=ReferenceSuv(
            **{name: round(plan.uptake[name], 1) for name in ("blood_pool", "liver", "spleen", "parotid")}
        ),
        psma_vol_ml=round(sum(truth.mask_ml for truth, _ in contoured), 2),
        lesions=[exam_lesion(truth, focus, scene.pet, scene.mask, has_ct=has_ct) for truth, focus in contoured],
        language=plan.language,
    )


def truth_of(plan: VisitPlan, exam: Exam, foci: tuple[FocusTruth, ...]) -> PatientTruth:
    """Return the truth of a scan, without what changed since the one before."""
    return PatientTruth(
        title=f"Synthetic patient {plan.patient_id}: {plan.context.indication}",
        study_id=plan.study_id,
        patient_id=plan.patient_id,
        date=plan.day.isoformat(),
        site=plan.site,
        scanner=plan.profile.name,
        scenario=plan.context.scenario,
        exam=exam,
        foci=foci,
        organ_suv={name: round(value, 2) for name, value in plan.uptake.items()},
        liver_cv=round(plan.exposure.liver_cv, 3),
    )


def prior_of(truth: PatientTruth, report: str) -> Prior:
    """Return a scan as the prior of the next one: table, volume and report text."""
    exam = truth.exam
    tracer = exam.tracer
    kind = "PSMA" if tracer is not None and tracer.facts.targets_psma else "FDG"
    return Prior(
        date=truth.date,
        modality=f"{kind} {truth.modality}",
        tracer=tracer,
        report_text=report,
        lesions=[
            PriorLesion(
                lesion_id=f"P{one.lesion_id[1:]}",
                region=one.region,
                side=one.side,
                suvmax=one.suvmax,
                volume_ml=one.volume_ml,
                size_mm=one.size_mm,
            )
            for one in exam.lesions
        ],
        psma_vol_ml=exam.psma_vol_ml,
    )


def follow_up_of(
    now: PatientTruth,
    before: PatientTruth,
    between: Between,
    previous: Mapping[int, tuple[int, ...]],
    motion: NDArray[np.float64],
) -> FollowUpTruth:
    """Return what happened between two scans; ``previous`` leads from a focus' number to those it had before."""
    volumes = float(before.exam.psma_vol_ml or 0.0), float(now.exam.psma_vol_ml or 0.0)
    new = count_new(now.lesions, before.lesions, previous)
    tracer = now.exam.tracer
    comparable = tracer == before.exam.tracer and tracer is not None and tracer.facts.targets_psma
    return FollowUpTruth(
        previous_study=before.study_id,
        days=between.days,
        course=between.course,
        other_tracer=tracer != before.exam.tracer,
        other_scanner=now.scanner != before.scanner,
        motion=tuple(tuple(round(float(value), 6) for value in row) for row in motion),
        lesions=describe_changes(now.lesions, before.lesions, previous, follow_up_table().changed_share),
        volume_ml=(_total_ml(before), _total_ml(now)),
        psma_vol_ml=volumes,
        new_lesions=new,
        recip=true_recip(*volumes, new) if comparable else None,
    )


def _total_ml(truth: PatientTruth) -> float:
    return round(sum(lesion.volume_ml for lesion in truth.lesions), 3)
