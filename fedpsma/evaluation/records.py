"""What is kept of one study and one model: everything the figures need, and nothing of the images."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.assessment import MiTnm
from fedpsma.domain.contour import ContourConvention
from fedpsma.domain.region import Region, Side
from fedpsma.domain.tracer import Tracer
from fedpsma.evaluation.detection import HitRule, ScanDetections


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FocusScore(_Record):
    """One focus a model found.

    ``label`` is what the reader is told, null where the model gives masks alone; ``listed`` whether the exam lists it,
    ``candidate`` whether it stands at a site where it can be a lesion. ``hits`` says by hit rule whether it is one.
    ``region`` is the model's, ``true_region`` that of the data set's anatomy; ``origin`` names what a focus that is no
    lesion comes from: a benign focus of the truth, else the anatomy at its peak.
    """

    probability: float
    label: str | None
    listed: bool
    candidate: bool
    hits: dict[HitRule, bool]
    region: Region | None = None
    true_region: Region | None = None
    origin: str | None = None

    @property
    def is_lesion(self) -> bool:
        """Whether it touches a lesion of the mask."""
        return self.hits["overlap"]


class LesionScore(_Record):
    """One lesion of the mask, with the focus that found it.

    ``found_at`` is by hit rule the highest probability of a focus that hits the lesion, null where none does; a focus
    at a physiological site is none. Label, region and side are those of the most probable such focus, else of a
    physiological one; null where there is no focus, or its side is not told. ``found_ml`` is the volume of that focus
    where it counts as positive.
    """

    number: int
    volume_ml: float
    found_at: dict[HitRule, float | None]
    label: str | None = None
    true_region: Region | None = None
    region: Region | None = None
    true_side: Side | None = None
    side: Side | None = None
    found_ml: float | None = None


class StageScore(_Record):
    """The true stage, that of the analysed study, and what the same rules make of the true lesion table."""

    true: MiTnm
    found: MiTnm
    rules: MiTnm | None


class StudyScores(_Record):
    """How a model did on one study.

    ``dice`` and ``false_negative_ml`` are null where the mask is empty. ``true_ml`` and ``found_ml`` are the tumour
    volumes of mask and model. ``judged`` is false where a mask alone was scored. ``benign`` counts the benign foci of
    the truth by kind, null where it names none; ``uncontoured`` the foci left out because they sit on a true lesion
    that the site's convention does not contour. ``rules`` are the hit rules that could be used: without a PET there is
    no hottest voxel.
    """

    dataset: str
    study_id: str
    patient_id: str
    tracer: Tracer | None
    contour: ContourConvention | None
    dice: float | None
    false_positive_ml: float
    false_negative_ml: float | None
    true_ml: float
    found_ml: float
    rules: tuple[HitRule, ...]
    judged: bool
    foci: tuple[FocusScore, ...]
    lesions: tuple[LesionScore, ...]
    stage: StageScore | None = None
    benign: dict[str, int] | None = None
    uncontoured: int = 0

    @property
    def patient(self) -> tuple[str, str]:
        """The patient, told apart from a namesake of another data set."""
        return self.dataset, self.patient_id

    def detections(self, rule: HitRule) -> ScanDetections:
        """Return candidates and lesions under one hit rule."""
        candidates = [one for one in self.foci if one.candidate]
        found = [one.found_at[rule] for one in self.lesions]
        return ScanDetections(
            scores=np.array([one.probability for one in candidates], dtype=np.float64),
            hits=np.array([one.hits[rule] for one in candidates], dtype=bool),
            found_at=np.array([-np.inf if one is None else one for one in found], dtype=np.float64),
        )
