"""One PSMA-PET/CT examination as a table of lesions: the contract of ``exam.json``.

``None`` always means "not known" and is never replaced by a default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fedpsma.domain.assessment import PsmaRads
from fedpsma.domain.region import Region, Side
from fedpsma.domain.tracer import Tracer

# Impossible values (a negative SUV) are read and kept, so that the rules can flag them beside what they leave open.
Measured = Annotated[float, Field(allow_inf_nan=False)]
CtClass = Literal["none", "nonspecific", "degenerative", "benign", "suspicious"]
ProstateStatus = Literal["in_situ", "removed", "irradiated"]
TExtent = Literal["T2", "T2u", "T2m", "T3a", "T3b", "T4", "Tr"]


class _Record(BaseModel):
    """Keeps fields it does not know, so that :func:`unknown_fields` can name them."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Clinical(_Record):
    """What the referring physician told."""

    age: int | None = Field(default=None, ge=0, le=130)
    psa_ng_ml: Measured | None = None
    psa_history: str | None = None
    gleason: str | None = None
    prior_therapy: list[str] | None = None
    current_therapy: list[str] | None = None
    prostate_status: ProstateStatus | None = None


class Technique(_Record):
    """How the study was acquired and measured.

    ``segmentation_rule`` names how volumes were drawn; ``not_covered`` are regions outside the field of view.
    """

    activity_mbq: Measured | None = None
    uptake_min: Measured | None = None
    furosemide: bool | None = None
    ct: str | None = None
    segmentation_rule: str | None = None
    not_covered: list[Region] | None = None
    weight_kg: Measured | None = None


class ReferenceSuv(_Record):
    """SUVmean (g/ml) of the reference organs; null where an organ could not be measured."""

    blood_pool: Measured | None = None
    liver: Measured | None = None
    spleen: Measured | None = None
    parotid: Measured | None = None


class Lesion(_Record):
    """One focus: where it is, what was measured, and what the model or a reader thinks of it.

    SUV in g/ml; ``size_mm`` is the short axis for nodes and the long axis for everything else; ``model_prob`` is the
    model's probability that the focus is suspicious. ``reader_category`` is the PSMA-RADS category that a reader gave;
    it goes before what the rules propose.
    """

    lesion_id: str = Field(min_length=1, max_length=40)
    region: Region
    label: str | None = None
    side: Side | None = None
    suvmax: Measured | None = None
    suvmean: Measured | None = None
    suvpeak: Measured | None = None
    volume_ml: Measured | None = None
    size_mm: Measured | None = None
    ct_correlate: str | None = None
    ct_class: CtClass | None = None
    model_prob: Annotated[float, Field(ge=0, le=1)] | None = None
    t_extent: TExtent | None = None
    primary_pattern: str | None = None
    biopsy: str | None = None
    reader_category: PsmaRads | None = None


class PriorLesion(_Record):
    """A lesion of the prior study, as a table gave it."""

    lesion_id: str = Field(min_length=1, max_length=40)
    region: Region
    side: Side | None = None
    suvmax: Measured | None = None
    volume_ml: Measured | None = None
    size_mm: Measured | None = None


class Prior(_Record):
    """The examination to compare with: as a table, as a report text, or both."""

    date: str | None = None
    modality: str | None = None
    tracer: Tracer | None = None
    report_text: str | None = None
    segmentation_rule: str | None = None
    not_covered: list[Region] | None = None
    lesions: list[PriorLesion] | None = None
    psma_vol_ml: Measured | None = None


class Exam(_Record):
    """A PSMA-PET/CT examination: context, reference uptake, lesions and prior."""

    tracer: Tracer | None = None
    indication: str | None = None
    clinical: Clinical = Clinical()
    technique: Technique = Technique()
    reference_suv: ReferenceSuv = ReferenceSuv()
    psma_vol_ml: Measured | None = None
    lesions: list[Lesion] = []
    prior: Prior | None = None
    language: Literal["en", "de"] = "en"

    def lesion(self, lesion_id: str) -> Lesion:
        """Return the lesion with this id; raises ``KeyError`` if there is none."""
        for lesion in self.lesions:
            if lesion.lesion_id == lesion_id:
                return lesion
        raise KeyError(lesion_id)


def unknown_fields(record: BaseModel, path: str = "") -> Iterator[str]:
    """Yield the dotted names of fields that the exam contract does not have, so that a typo is seen.

    Example:
        >>> list(unknown_fields(Exam.model_validate({"lesions": [{"lesion_id": "L1", "region": "LIVER", "suv": 3}]})))
        ['lesions[0].suv']
    """
    for name in record.model_extra or {}:
        yield f"{path}{name}"
    for name in type(record).model_fields:
        yield from _unknown_in(getattr(record, name), f"{path}{name}")


def _unknown_in(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from unknown_fields(value, f"{path}.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_in(item, f"{path}[{index}]")
