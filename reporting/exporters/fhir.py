"""The report as FHIR R4: a Bundle of one DiagnosticReport, an Observation a lesion and one an overall result."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Literal
from uuid import NAMESPACE_OID, uuid5
from xml.sax.saxutils import escape

from reporting.exporters import text
from reporting.exporters.codes import (
    Coded,
    private,
    private_region,
    private_value,
    side_code,
    size_code,
    standard,
    standard_site,
)
from reporting.exporters.fhir_model import (
    Annotation,
    Attachment,
    Bundle,
    CodeableConcept,
    Coding,
    Component,
    DiagnosticReport,
    Entry,
    Identifier,
    Narrative,
    Observation,
    Quantity,
    Reference,
)
from reporting.exporters.frame import Frame, frame_of
from reporting.exporters.report import Report, content_sha256
from reporting.exporters.table import Row, site_of, table_rows

_Status = Literal["preliminary", "final", "amended"]
_STATUS: dict[str, _Status] = {
    "draft": "preliminary",
    "reviewed": "preliminary",
    "signed": "final",
    "amended": "amended",
}
_UNITS = {
    "suvmax": ("g/mL", "suv_unit"),
    "suvmean": ("g/mL", "suv_unit"),
    "suvpeak": ("g/mL", "suv_unit"),
    "volume_ml": ("mL", "ml"),
    "size_mm": ("mm", "mm"),
}
_IMAGING = Coding(
    system="http://terminology.hl7.org/CodeSystem/observation-category", code="imaging", display="Imaging"
)
_RADIOLOGY = Coding(system="http://terminology.hl7.org/CodeSystem/v2-0074", code="NMS", display="Nuclear Medicine Scan")


def write(report: Report) -> bytes:
    """Return the bundle as JSON; nothing of it is final unless somebody signed."""
    return bundle_of(report).model_dump_json(exclude_none=True, indent=1).encode("utf-8")


def bundle_of(report: Report) -> Bundle:
    """Build the bundle; its ids follow from the content, so that the same report gives the same resources."""
    builder = _Builder(report)
    observations = [*map(builder.lesion, table_rows(report)), *builder.overall()]
    resources: list[DiagnosticReport | Observation] = [builder.report(observations), *observations]
    entries = [Entry(fullUrl=_url(one.id), resource=one) for one in resources]
    return Bundle(timestamp=report.created, entry=entries)


class _Builder:
    """Makes the resources of one report, which share status, subject and moment."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._frame: Frame = frame_of(report)
        self._status = _STATUS[report.state]
        self._key = content_sha256(report.exam, report.draft)
        self._subject = Reference(display=self._frame.study) if self._frame.study else None
        self._date = None if report.images is None else report.images.study.date

    def lesion(self, row: Row) -> Observation:
        """Write one row of the table."""
        lesion = row.lesion
        return self._observation(
            f"lesion {row.number}",
            _concept(private("lesion_finding"), standard("lesion"), text=lesion.lesion_id),
            identifier=[Identifier(value=lesion.lesion_id)],
            body_site=_body_site(row),
            component=_components(row),
        )

    def overall(self) -> list[Observation]:
        """Write stage, highest category, response and tumour volume, as far as they are known."""
        found, volume = self._report.assessment, self._report.exam.psma_vol_ml
        told = {"mitnm": found.mitnm_string, "psma_rads_overall": found.psma_rads_overall, "recip": found.recip}
        made = [
            self._observation(name, _concept(private(name)), value=_value(name, value))
            for name, value in told.items()
            if value is not None
        ]
        if volume is not None:
            code, quantity = _concept(private("psma_tv")), _quantity("volume_ml", volume)
            made.append(self._observation("psma_tv", code, quantity=quantity))
        return made

    def report(self, observations: Sequence[Observation]) -> DiagnosticReport:
        """Write the report itself with its text as an attachment."""
        draft, frame = self._report.draft, self._frame
        impression = [one.text for one in draft.section("impression").sentences]
        signed = self._report.sign_off
        plain = base64.b64encode(text.write(self._report)).decode("ascii")
        head = escape(f"{frame.title}. {frame.mark}")
        return DiagnosticReport(
            id=self._id("report"),
            language=draft.language,
            text=Narrative(div=f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{head}</p></div>'),
            status=self._status,
            category=[CodeableConcept(coding=[_RADIOLOGY])],
            code=_concept(standard("pet_procedure"), text=frame.title),
            subject=self._subject,
            effectiveDateTime=self._date,
            issued=self._report.created,
            resultsInterpreter=None if signed is None else [Reference(display=signed.who)],
            result=[Reference(reference=_url(one.id)) for one in observations] or None,
            conclusion=" ".join([f"[{frame.state}]", *impression]),
            presentedForm=[
                Attachment(contentType="text/plain", language=draft.language, data=plain, title=frame.title)
            ],
        )

    def _observation(
        self,
        name: str,
        code: CodeableConcept,
        *,
        identifier: list[Identifier] | None = None,
        body_site: CodeableConcept | None = None,
        component: list[Component] | None = None,
        value: CodeableConcept | None = None,
        quantity: Quantity | None = None,
    ) -> Observation:
        return Observation(
            id=self._id(name),
            identifier=identifier,
            status=self._status,
            category=[CodeableConcept(coding=[_IMAGING])],
            code=code,
            subject=self._subject,
            effectiveDateTime=self._date,
            issued=self._report.created,
            note=[Annotation(text=f"{self._frame.state}. {self._frame.mark}")],
            bodySite=body_site,
            component=component,
            valueCodeableConcept=value,
            valueQuantity=quantity,
        )

    def _id(self, name: str) -> str:
        return str(uuid5(NAMESPACE_OID, f"{self._key} {name}"))


def _url(name: str) -> str:
    return f"urn:uuid:{name}"


def _coding(code: Coded) -> Coding:
    return Coding(system=code.uri, version=code.version, code=code.value, display=code.meaning)


def _concept(*codes: Coded, text: str | None = None) -> CodeableConcept:
    return CodeableConcept(coding=[_coding(one) for one in codes], text=text)


def _value(name: str, value: str) -> CodeableConcept:
    return _concept(private_value(name, value, value), text=value)


def _quantity(name: str, value: float) -> Quantity:
    unit, code = _UNITS[name]
    return Quantity(value=value, unit=unit, system=standard(code).uri, code=standard(code).value)


def _body_site(row: Row) -> CodeableConcept:
    """Write the standard site where there is one, our own region always, the side, and all of it in words."""
    lesion = row.lesion
    codes = [standard_site(lesion.region), private_region(lesion.region), side_code(lesion)]
    return _concept(*(one for one in codes if one is not None), text=site_of(lesion, "en"))


def _components(row: Row) -> list[Component]:
    names = {
        "suvmax": (private("suvmax"), standard("suvbw")),
        "suvmean": (private("suvmean"), standard("suvbw")),
        "suvpeak": (private("suvpeak"), standard("suvbw")),
        "volume_ml": (standard("volume"),),
        "size_mm": (size_code(row.lesion),),
    }
    found = [
        Component(code=_concept(*codes, text=codes[0].meaning), valueQuantity=_quantity(name, value))
        for name, codes in names.items()
        if (value := row.measured(name)) is not None
    ]
    told = {
        "psma_rads": row.psma_rads,
        "expression": None if row.expression is None else str(row.expression),
        "change": row.change,
    }
    found += [
        Component(code=_concept(private(name)), valueCodeableConcept=_value(name, value))
        for name, value in told.items()
        if value is not None
    ]
    return found
