"""What every exporter is given: a draft with its exam and, where there are any, images and a signature."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from fedpsma.domain.study import LabelVolume, Study
from fedpsma.errors import InputError
from reporting.draft import Draft, State

if TYPE_CHECKING:
    from fedpsma.io.dicom.source import PetSource


class SignOff(BaseModel):
    """Who signed a report and when; ``sha256`` is :func:`content_sha256` of what was signed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    who: str = Field(min_length=1, max_length=64)
    when: AwareDatetime
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


@dataclass(frozen=True, eq=False)
class Images:
    """The study that was read and its lesions.

    ``lesion_labels`` (x, y, z) lies on the grid of ``study.pet``; number n is ``exam.lesions[n - 1]``, 0 is none. A
    lesion without voxels has no picture and no segment. ``synthetic`` says that the patient is a phantom.
    """

    study: Study
    lesion_labels: LabelVolume
    synthetic: bool = False


@dataclass(frozen=True, eq=False)
class Report:
    """Everything an export is made of.

    Attributes:
        exam: The exam as the reader left it; its lesions are the rows of the table.
        draft: The report on it, with the assessment.
        sign_off: The signature; without one every export is marked DRAFT, whatever the state of the draft says.
        images: Study and lesion mask, for key images, SEG and SR; the other formats come out without pictures.
        dicom: Folder that holds the study's PET series in DICOM, whose headers SEG, SR and encapsulated PDF copy.
        created: When the export is made.

    Raises:
        InputError: The report was changed after it was signed, or the mask has other lesions than the exam.

    :func:`reporting.exporters.registry.export` turns it into a file:
    ``export(Report(exam, draft, images=Images(study, labels)), "pdf")``.
    """

    exam: Exam
    draft: Draft
    sign_off: SignOff | None = None
    images: Images | None = None
    dicom: Path | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if self.sign_off is not None and self.sign_off.sha256 != content_sha256(self.exam, self.draft):
            raise InputError(
                "the report was changed after it was signed", where="the signature", remedy="sign the report again"
            )
        if self.images is not None and int(self.images.lesion_labels.max(initial=0)) > len(self.exam.lesions):
            raise InputError(
                f"numbers {int(self.images.lesion_labels.max())} lesions, but the table has {len(self.exam.lesions)}",
                where="the lesion mask",
                remedy="give the mask of this exam",
            )

    @property
    def assessment(self) -> Assessment:
        """What the rules made of the exam."""
        return self.draft.assessment

    @cached_property
    def source(self) -> PetSource:
        """The PET series that the images came from, found once and checked voxel by voxel.

        Raises:
            InputError: No folder or no images are given, or the series is not that of the images.
        """
        from fedpsma.io.dicom.source import find_pet_source

        if self.images is None or self.dicom is None:
            raise InputError("no DICOM series is known for this report", where="the report")
        return find_pet_source(self.dicom, self.images.study)

    @property
    def signed(self) -> bool:
        """Whether somebody signed what is exported."""
        return self.sign_off is not None

    @property
    def state(self) -> State:
        """The state as exports name it: only a signature makes a report signed or amended."""
        if self.sign_off is None:
            return "reviewed" if self.draft.state == "reviewed" else "draft"
        return "amended" if self.draft.state == "amended" else "signed"


@dataclass(frozen=True)
class Export:
    """One finished file: a safe file name without a folder, and its bytes."""

    name: str
    content: bytes = field(repr=False)


def content_sha256(exam: Exam, draft: Draft) -> str:
    """Return the SHA-256 (hexadecimal) of what a reader signs: exam, sections and assessment, as sorted JSON.

    Verification, provenance and state are left out: signing changes the state and no word of the report.
    """
    content = {
        "exam": exam.model_dump(mode="json"),
        "sections": [section.model_dump(mode="json") for section in draft.sections],
        "assessment": draft.assessment.model_dump(mode="json"),
        "language": draft.language,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8")).hexdigest()
