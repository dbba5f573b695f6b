"""What is known of a study beside its lesion mask: clinical context, true foci and true stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fedpsma.domain.assessment import MiTnm
from fedpsma.domain.exam import Clinical
from fedpsma.io.dataset import parse_record
from fedpsma.io.files import read_json
from fedpsma.phantom.truth import FocusTruth, PatientTruth, TrueAssessment


@dataclass(frozen=True)
class StudyTruth:
    """What the records in ``truth/`` say of a study.

    ``clinical`` is the context a referring physician gives; ``foci`` are the true foci, lesions
    and benign ones. ``stage`` counts every contoured lesion as the metastasis it is, ``stage_by_rules`` is
    what the rules make of the true lesion table. Empty or null where the data set does not know.
    """

    clinical: Clinical = field(default_factory=Clinical)
    foci: tuple[FocusTruth, ...] | None = None
    stage: MiTnm | None = None
    stage_by_rules: MiTnm | None = None

    @property
    def lesions(self) -> dict[int, FocusTruth]:
        """The contoured lesions by their number in the mask."""
        return {one.id: one for one in self.foci or () if one.suspicious and one.contoured}

    @property
    def off_mask(self) -> tuple[FocusTruth, ...]:
        """The foci that the mask does not show: benign ones, and lesions below the site's contour convention."""
        return tuple(one for one in self.foci or () if not (one.suspicious and one.contoured))


def truth_files(dataset: Path, study_id: str) -> tuple[Path, Path]:
    """Return where the two truth records of a study lie, if it has any."""
    folder = dataset / "truth"
    return folder / f"{study_id}.json", folder / f"{study_id}.assessment.json"


def read_truth(dataset: Path, study_id: str) -> StudyTruth:
    """Read what a data set knows of a study; a data set without such records knows the mask alone.

    Raises:
        InputError: A record is there and is broken.
    """
    patient_file, assessment_file = truth_files(dataset, study_id)
    patient = assessment = None
    if patient_file.is_file():
        patient = parse_record(PatientTruth, read_json(patient_file), str(patient_file))
    if assessment_file.is_file():
        assessment = parse_record(TrueAssessment, read_json(assessment_file), str(assessment_file))
    return StudyTruth(
        clinical=Clinical() if patient is None else patient.exam.clinical,
        foci=None if patient is None else patient.foci,
        stage=None if assessment is None else assessment.true_mitnm,
        stage_by_rules=None if assessment is None else assessment.assessment.mitnm,
    )
