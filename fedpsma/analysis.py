"""From a study to a table of lesions: the one function behind ``fedpsma analyze``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fedpsma.domain.contour import contour_rules
from fedpsma.domain.exam import Clinical, Exam, Lesion, ProstateStatus
from fedpsma.domain.region import Region
from fedpsma.domain.study import LabelVolume, Study, VoxelPrediction
from fedpsma.domain.tracer import Tracer
from fedpsma.io.study_loader import NO_CT
from fedpsma.lesions.candidates import Candidate, CandidateOptions, find_candidates, paint
from fedpsma.lesions.judge import INDETERMINATE, MALIGNANT, PHYSIOLOGICAL, Judge, Verdict, load_judge
from fedpsma.lesions.quantities import PatientQuantities, Quantities, measure, total
from fedpsma.lesions.references import References, measure_references
from fedpsma.lesions.row import Called, Patient, after_surgery, table_row
from fedpsma.lesions.sides import Midline, find_midline

if TYPE_CHECKING:
    from fedpsma.model.network import LesionNet

_READING_ORDER = (MALIGNANT, INDETERMINATE, PHYSIOLOGICAL)


@dataclass(frozen=True)
class AnalysisOptions:
    """How a study is analysed.

    A focus is listed from the probability ``listed_from`` on, and whenever it is not called physiological. The judge of
    ``candidates`` calls it malignant, indeterminate or physiological; without a judge the probabilities are not
    calibrated, and the cut-offs ``malignant_from`` and ``indeterminate_from`` (project policy) decide. The stage rests
    on the rules, not on these words.
    ``prostate_status`` goes into the exam; where the prostate was removed, foci at its place lie in the prostate bed.
    """

    candidates: CandidateOptions = field(default_factory=CandidateOptions)
    listed_from: float = 0.2
    indeterminate_from: float = 0.35
    malignant_from: float = 0.65
    prostate_status: ProstateStatus | None = None


@dataclass(frozen=True)
class Analysis:
    """What was found.

    ``lesion_labels`` (x, y, z) on the PET grid numbers the lesions as the exam does (1 is "L1"). ``quantities`` holds
    the unrounded measurements in the order of ``exam.lesions``; ``tumour`` the sums over those called malignant.
    ``notes`` is what a reader must be told. ``listed`` are the foci of ``exam.lesions``, in their order; ``candidates``
    holds every focus, most suspicious first.
    """

    exam: Exam
    lesion_labels: LabelVolume
    prediction: VoxelPrediction
    quantities: tuple[Quantities, ...]
    tumour: PatientQuantities
    references: References
    options: AnalysisOptions
    notes: tuple[str, ...]
    listed: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]


def judge_beside(model: Path | None) -> Judge | None:
    """Return the judge of a checkpoint (``None`` for the base one); ``None`` where it was never calibrated.

    Raises:
        InputError: Checkpoint or judge are missing or broken, or do not belong together.
    """
    from fedpsma.model.checkpoint import judge_path, load_checkpoint

    return load_judge(judge_path(model), load_checkpoint(model).card.sha256)


def analyze(
    study: Study,
    net: LesionNet,
    options: AnalysisOptions | None = None,
    on_patch: Callable[[int, int], None] | None = None,
) -> Analysis:
    """Let the network look at a study and make a table of what it finds.

    Args:
        study: PET in SUVbw, with CT and tracer where known.
        net: The network; see :func:`fedpsma.model.checkpoint.load_network`.
        options: Contour convention and cut-offs.
        on_patch: Called with (windows done, windows in all) while the network works.
    """
    from fedpsma.model.inference import predict  # seconds to import, and describe() does not need it

    return describe(study, predict(net, study, on_patch), options)


def describe(study: Study, prediction: VoxelPrediction, options: AnalysisOptions | None = None) -> Analysis:
    """Make the table of lesions from a prediction that is already there."""
    options = options or AnalysisOptions()
    references = measure_references(study, prediction)
    midline = find_midline(study, prediction)
    found = find_candidates(study, prediction, options.candidates, references)
    listed = _in_reading_order([one for one in found if _is_listed(one, options)], options)
    quantities = tuple(measure(study, one.outline, one.focus.box, one.focus.suvmax) for one in listed)
    patient = Patient(study, prediction, midline)
    lesions = [
        table_row(_called(number, one, options), one.focus, measured, patient)
        for number, (one, measured) in enumerate(zip(listed, quantities, strict=True), start=1)
    ]
    tumour = total(one for one, row in zip(quantities, lesions, strict=True) if row.label == MALIGNANT)
    exam = Exam(
        tracer=study.tracer,
        clinical=Clinical(prostate_status=options.prostate_status),
        technique=study.technique,
        reference_suv=references.as_suv(),
        psma_vol_ml=_psma_volume(study.tracer, tumour, lesions, options),
        lesions=lesions,
    )
    notes = (*study.notes, *_notes(study, exam, references, midline, options))
    return Analysis(
        exam=exam,
        lesion_labels=paint(listed, study),
        prediction=prediction,
        quantities=quantities,
        tumour=tumour,
        references=references,
        options=options,
        notes=tuple(dict.fromkeys(notes)),
        listed=tuple(listed),
        candidates=tuple(found),
    )


def label_of(candidate: Candidate, options: AnalysisOptions) -> Verdict:
    """Return what a focus is called: by the judge, or without one by the cut-offs of the options."""
    if candidate.judgement is not None:
        return candidate.judgement.verdict
    probability = round(candidate.suspicion, 2)
    if candidate.region.facts.site == "physiologic" or probability < options.indeterminate_from:
        return PHYSIOLOGICAL
    return MALIGNANT if probability >= options.malignant_from else INDETERMINATE


def _is_listed(candidate: Candidate, options: AnalysisOptions) -> bool:
    return candidate.suspicion >= options.listed_from or label_of(candidate, options) != PHYSIOLOGICAL


def _in_reading_order(candidates: Sequence[Candidate], options: AnalysisOptions) -> list[Candidate]:
    """Malignant before indeterminate before physiological, the hottest first in each."""
    return sorted(
        candidates,
        key=lambda one: (_READING_ORDER.index(label_of(one, options)), -one.focus.suvmax, one.focus.peak),
    )


def _called(number: int, one: Candidate, options: AnalysisOptions) -> Called:
    return Called(f"L{number}", region_of(one, options), label_of(one, options), round(one.suspicion, 2))


def region_of(one: Candidate, options: AnalysisOptions) -> Region:
    """Return the region of a focus in this patient."""
    return after_surgery(one.region, options.prostate_status)


def _psma_volume(
    tracer: Tracer | None, tumour: PatientQuantities, lesions: Sequence[Lesion], options: AnalysisOptions
) -> float | None:
    """Return the PSMA volume in ml; ``None`` for another tracer, and where the volume of a lesion is not known.

    A lesion that nowhere reaches a fixed threshold has no volume by definition, which is known.
    """
    fixed = contour_rules()[options.candidates.contour].kind == "fixed"
    unknown = not fixed and any(one.label == MALIGNANT and one.volume_ml is None for one in lesions)
    return round(tumour.psma_tv_ml, 1) if _targets_psma(tracer) and not unknown else None


def _targets_psma(tracer: Tracer | None) -> bool:
    return tracer is None or tracer.facts.targets_psma


def _notes(
    study: Study, exam: Exam, references: References, midline: Midline | None, options: AnalysisOptions
) -> list[str]:
    notes = []
    if study.ct is None and not any(note.startswith("no CT") for note in study.notes):
        notes.append(NO_CT)
    if study.tracer is None:
        notes.append("tracer unknown: the network takes a mean over its tracers, and no expression score can be given")
    elif not study.tracer.facts.targets_psma:
        notes.append(f"{study.tracer} is not a PSMA tracer: there is no PSMA volume, and PSMA frameworks do not apply")
    missing = [name.replace("_", " ") for name, value in exam.reference_suv if value is None]
    if missing:
        notes.append(f"reference uptake not measurable: {', '.join(missing)}")
    if study.ct is None and any(one.region.is_node for one in exam.lesions):
        notes.append("no CT: nodes have no size, because a short axis on PET says nothing about CT")
    if midline is None:
        notes.append("the midline was not found: sides are not given")
    if not exam.lesions:
        notes.append("no focus is suspicious enough to be listed")
    return [*notes, *_contour_notes(study, exam, references, options)]


def _contour_notes(study: Study, exam: Exam, references: References, options: AnalysisOptions) -> list[str]:
    notes = []
    contour = options.candidates.contour
    if contour == "liver" and references.liver is None:
        notes.append("contour by the liver: the liver was not measurable, so soft-tissue lesions have no volume")
    elif contour == "liver" and study.tracer is not None and study.tracer.facts.expression_reference == "spleen":
        notes.append(
            f"contour by the liver: {study.tracer} is excreted by the liver, which makes the threshold too high"
        )
    without = [one.lesion_id for one in exam.lesions if one.volume_ml is None]
    if without:
        notes.append(f"no volume by the contour {contour}: {', '.join(without)}")
    foreign = [one.lesion_id for one in exam.lesions if one.volume_ml is not None and one.suvpeak is None]
    if foreign:
        notes.append(f"SUVpeak not given, the 1 ml sphere holds a hotter neighbour: {', '.join(foreign)}")
    return notes
