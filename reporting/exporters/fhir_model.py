"""The part of FHIR R4 (4.0.1) that a report uses, as models that refuse what its required bindings do not allow.

Names and cardinalities as in https://hl7.org/fhir/R4/ for Bundle, DiagnosticReport and Observation; nothing is read
from there when this runs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

# Value sets with the binding "required": diagnostic-report-status, observation-status, bundle-type, narrative-status.
DiagnosticReportStatus = Literal[
    "registered",
    "partial",
    "preliminary",
    "final",
    "amended",
    "corrected",
    "appended",
    "cancelled",
    "entered-in-error",
    "unknown",
]
ObservationStatus = Literal[
    "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"
]
BundleType = Literal[
    "document",
    "message",
    "transaction",
    "transaction-response",
    "batch",
    "batch-response",
    "history",
    "searchset",
    "collection",
]
NarrativeStatus = Literal["generated", "extensions", "additional", "empty"]
Text = Annotated[str, Field(min_length=1)]
Uri = Annotated[str, Field(pattern=r"^\S+$")]
Code = Annotated[str, Field(pattern=r"^[^\s]+(\s[^\s]+)*$")]
Date = Annotated[str, Field(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$")]


class _Element(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Coding(_Element):
    """A code of one system."""

    system: Uri
    version: Text | None = None
    code: Code
    display: Text


class CodeableConcept(_Element):
    """A concept as codes, as text, or both."""

    coding: list[Coding] | None = None
    text: Text | None = None


class Quantity(_Element):
    """A measured value with its UCUM unit."""

    value: float
    unit: Text
    system: Uri
    code: Code


class Identifier(_Element):
    """A business identifier."""

    value: Text


class Reference(_Element):
    """A link to a resource of the bundle, or to one that only its identifier names."""

    reference: Uri | None = None
    identifier: Identifier | None = None
    display: Text | None = None


class Annotation(_Element):
    """A remark."""

    text: Text


class Narrative(_Element):
    """The readable part of a resource: XHTML with everything escaped."""

    status: NarrativeStatus = "generated"
    div: Text


class Attachment(_Element):
    """A document; ``data`` is base64."""

    contentType: Code  # noqa: N815
    language: Code
    data: Text
    title: Text


class Component(_Element):
    """One measurement of an observation."""

    code: CodeableConcept
    valueQuantity: Quantity | None = None  # noqa: N815
    valueCodeableConcept: CodeableConcept | None = None  # noqa: N815
    valueInteger: int | None = None  # noqa: N815


class Observation(_Element):
    """A lesion, or something said of the whole examination."""

    resourceType: Literal["Observation"] = "Observation"  # noqa: N815
    id: Text
    identifier: list[Identifier] | None = None
    status: ObservationStatus
    category: list[CodeableConcept]
    code: CodeableConcept
    subject: Reference | None = None
    effectiveDateTime: Date | None = None  # noqa: N815
    issued: AwareDatetime
    valueQuantity: Quantity | None = None  # noqa: N815
    valueCodeableConcept: CodeableConcept | None = None  # noqa: N815
    note: list[Annotation]
    bodySite: CodeableConcept | None = None  # noqa: N815
    component: list[Component] | None = None


class DiagnosticReport(_Element):
    """The report with its text and its observations."""

    resourceType: Literal["DiagnosticReport"] = "DiagnosticReport"  # noqa: N815
    id: Text
    language: Code
    text: Narrative
    status: DiagnosticReportStatus
    category: list[CodeableConcept]
    code: CodeableConcept
    subject: Reference | None = None
    effectiveDateTime: Date | None = None  # noqa: N815
    issued: AwareDatetime
    resultsInterpreter: list[Reference] | None = None  # noqa: N815
    result: list[Reference] | None = None
    conclusion: Text | None = None
    presentedForm: list[Attachment]  # noqa: N815


class Entry(_Element):
    """One resource of a bundle under the URL that references use."""

    fullUrl: Uri  # noqa: N815
    resource: DiagnosticReport | Observation


class Bundle(_Element):
    """Resources that belong together."""

    resourceType: Literal["Bundle"] = "Bundle"  # noqa: N815
    type: BundleType = "collection"
    timestamp: AwareDatetime
    entry: list[Entry]
