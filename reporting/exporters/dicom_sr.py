"""The lesion table as a Comprehensive 3D SR after TID 1500: measurements, sites and categories of each lesion."""

from __future__ import annotations

import highdicom as hd
from highdicom import sr
from pydicom import Dataset
from pydicom.uid import generate_uid

from fedpsma.domain.exam import Lesion
from fedpsma.io.dicom.tags import parsing
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
from reporting.exporters.dicom_object import (
    MAKER,
    concept,
    file_bytes,
    full_mark,
    object_uid,
    person_name,
    series_description,
    tracking_uid,
    version,
)
from reporting.exporters.dicom_seg import outlined, segmentation
from reporting.exporters.frame import printable
from reporting.exporters.report import Report
from reporting.exporters.table import Row, table_rows

SERIES_NUMBER = 9002
PATIENT_TRACKING = "patient"
"""Tracking identifier of the group that holds what is said of the whole examination."""
_NO_ORGANISATION = "not recorded"
_DEVICE_UID = str(generate_uid(entropy_srcs=["device observer", MAKER, version()]))
_SUV = {"suvmax": "maximum", "suvmean": "mean", "suvpeak": "peak"}


def write(report: Report) -> bytes:
    """Return the SR file; it refers to the segments of the SEG that the same report gives."""
    return file_bytes(structured_report(report))


def structured_report(report: Report) -> sr.Comprehensive3DSR:
    """Build the SR: UNVERIFIED, PARTIAL and PRELIMINARY unless somebody signed.

    Raises:
        InputError: The series is not the one that was read, or its headers cannot be taken over.
    """
    rows = outlined(report)
    seg = segmentation(report) if rows else None
    evidence: list[Dataset] = [*report.source.headers, *([] if seg is None else [seg])]
    signed = report.sign_off
    with parsing(str(report.dicom), "has headers that a structured report cannot take over"):
        document = sr.Comprehensive3DSR(
            evidence=evidence,
            content=_content(report, seg, {row.number: place for place, row in enumerate(rows, start=1)})[0],
            series_instance_uid=object_uid(report, "sr series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=object_uid(report, "sr"),
            instance_number=1,
            manufacturer=MAKER,
            is_complete=report.signed,
            is_final=report.signed,
            is_verified=report.signed,
            verifying_observer_name=None if signed is None else person_name(signed.who),
            verifying_organization=None if signed is None else _NO_ORGANISATION,
            series_description=series_description(report, "PSMA table"),
        )
    document.CodingSchemeIdentificationSequence = [_own_scheme()]
    if signed is not None:
        document.VerifyingObserverSequence[0].VerificationDateTime = signed.when.strftime("%Y%m%d%H%M%S%z")
    return document


def _own_scheme() -> Dataset:
    """Say what the private coding scheme is (DICOM PS3.3 C.12.1, Coding Scheme Identification Sequence)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = private("region").scheme
    scheme.CodingSchemeName = "Private codes of fedpsma"
    return scheme


def _content(report: Report, seg: hd.seg.Segmentation | None, segments: dict[int, int]) -> sr.MeasurementReport:
    groups = [_group(report, row, seg, segments.get(row.number)) for row in table_rows(report)]
    content = sr.MeasurementReport(
        observation_context=_context(report),
        procedure_reported=concept(standard("pet_procedure")),
        imaging_measurements=[*groups, _examination(report)],
        title=concept(standard("report_title")),
    )
    content[0].ContentSequence.append(
        sr.TextContentItem(
            name=concept(standard("comment")),
            value=full_mark(report),
            relationship_type=sr.RelationshipTypeValues.CONTAINS,
        )
    )
    return content


def _context(report: Report) -> sr.ObservationContext:
    device = sr.ObserverContext(
        observer_type=hd.sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=_DEVICE_UID, name=MAKER, manufacturer_name=MAKER, model_name=f"{MAKER} {version()}"
        ),
    )
    if report.sign_off is None:
        return sr.ObservationContext(observer_device_context=device)
    person = sr.ObserverContext(
        observer_type=hd.sr.CodedConcept("121006", "DCM", "Person"),
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(name=person_name(report.sign_off.who)),
    )
    return sr.ObservationContext(observer_person_context=person, observer_device_context=device)


def _group(
    report: Report, row: Row, seg: hd.seg.Segmentation | None, segment: int | None
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations:
    """Write one lesion; without an outline it is a group of measurements without a region."""
    told = {
        "tracking_identifier": sr.TrackingIdentifier(
            uid=tracking_uid(report, row.lesion.lesion_id), identifier=printable(row.lesion.lesion_id)
        ),
        "finding_type": concept(standard("lesion")),
        "finding_sites": _finding_sites(row.lesion),
        "measurements": _measurements(row),
        "qualitative_evaluations": _evaluations(row),
    }
    if seg is None or segment is None:
        return sr.MeasurementsAndQualitativeEvaluations(**told)
    referenced = sr.ReferencedSegment.from_segmentation(seg, segment_number=segment)
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        referenced_segment=referenced,
        algorithm_id=sr.AlgorithmIdentification(name=MAKER, version=version()),
        **told,
    )


def _finding_sites(lesion: Lesion) -> list[sr.FindingSite] | None:
    site, side = standard_site(lesion.region), side_code(lesion)
    if site is None:
        return None
    return [sr.FindingSite(concept(site), laterality=None if side is None else concept(side))]


def _measurements(row: Row) -> list[sr.Measurement]:
    found = [
        _measurement(standard("suvbw"), row.measured(name), standard("suv_unit"), derivation)
        for name, derivation in _SUV.items()
    ]
    found.append(_measurement(standard("volume"), row.measured("volume_ml"), standard("ml")))
    found.append(_measurement(size_code(row.lesion), row.measured("size_mm"), standard("mm")))
    return [one for one in found if one is not None]


def _measurement(name: Coded, value: float | None, unit: Coded, derivation: str | None = None) -> sr.Measurement | None:
    if value is None:
        return None
    how = None if derivation is None else concept(standard(derivation))
    return sr.Measurement(name=concept(name), value=value, unit=concept(unit), derivation=how)


def _evaluations(row: Row) -> list[sr.QualitativeEvaluation]:
    lesion, side = row.lesion, side_code(row.lesion)
    found = [_evaluation(private("region"), private_region(lesion.region))]
    if side is not None and standard_site(lesion.region) is None:
        found.append(_evaluation(standard("laterality"), side))
    if row.psma_rads is not None:
        found.append(_category("psma_rads", row.psma_rads, f"PSMA-RADS {row.psma_rads}"))
    if row.expression is not None:
        found.append(_category("expression", str(row.expression), f"PSMA expression score {row.expression}"))
    if row.change is not None:
        found.append(_category("change", row.change, row.change.replace("_", " ")))
    return found


def _examination(report: Report) -> sr.MeasurementsAndQualitativeEvaluations:
    """Write what is said of the whole examination: stage, highest category, response, tumour volume."""
    found, volume = report.assessment, report.exam.psma_vol_ml
    evaluations = [
        _category(name, value, value)
        for name, value in (
            ("mitnm", found.mitnm_string),
            ("psma_rads_overall", found.psma_rads_overall),
            ("recip", found.recip),
        )
        if value is not None
    ]
    measured = _measurement(private("psma_tv"), volume, standard("ml"))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=tracking_uid(report, PATIENT_TRACKING), identifier=PATIENT_TRACKING
        ),
        measurements=None if measured is None else [measured],
        qualitative_evaluations=evaluations or None,
    )


def _category(name: str, value: str, meaning: str) -> sr.QualitativeEvaluation:
    return _evaluation(private(name), private_value(name, value, meaning))


def _evaluation(name: Coded, value: Coded) -> sr.QualitativeEvaluation:
    return sr.QualitativeEvaluation(name=concept(name), value=concept(value))
