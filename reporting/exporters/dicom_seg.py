"""The lesion outlines as a binary DICOM Segmentation: one segment a lesion, on the slices of the PET."""

from __future__ import annotations

import highdicom as hd
import numpy as np

from fedpsma.errors import InputError
from fedpsma.io.dicom.tags import parsing
from reporting.exporters.codes import standard, standard_site
from reporting.exporters.dicom_object import (
    MAKER,
    SERIAL,
    concept,
    file_bytes,
    full_mark,
    long_string,
    object_uid,
    series_description,
    tracking_uid,
    version,
)
from reporting.exporters.frame import printable
from reporting.exporters.report import Report
from reporting.exporters.table import Row, site_of, table_rows

SERIES_NUMBER = 9001


def write(report: Report) -> bytes:
    """Return the outlines as a SEG file.

    Raises:
        InputError: No lesion has an outline, or the series is not the one that was read.
    """
    if not outlined(report):
        raise InputError("needs the outline of a lesion, and there is none", where="DICOM Segmentation")
    return file_bytes(segmentation(report))


def outlined(report: Report) -> tuple[Row, ...]:
    """Return the lesions with an outline; segment n is the n-th of them."""
    assert report.images is not None
    present = set(np.unique(report.images.lesion_labels).tolist())
    return tuple(row for row in table_rows(report) if row.number in present)


def segmentation(report: Report) -> hd.seg.Segmentation:
    """Build the SEG of a report with at least one outline; patient and study are copied from the PET."""
    images, source, rows = report.images, report.source, outlined(report)
    assert images is not None
    segments = np.zeros(len(report.exam.lesions) + 1, np.uint16)
    segments[[row.number for row in rows]] = np.arange(1, len(rows) + 1)
    with parsing(str(report.dicom), "has headers that a segmentation cannot take over"):
        return hd.seg.Segmentation(
            source_images=source.headers,
            pixel_array=segments[source.to_slices(images.lesion_labels)],
            segmentation_type="BINARY",
            segment_descriptions=[_segment(report, row, number) for number, row in enumerate(rows, start=1)],
            series_instance_uid=object_uid(report, "seg series"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=object_uid(report, "seg"),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=MAKER,
            software_versions=version(),
            device_serial_number=SERIAL,
            content_label="LESIONS",
            content_description="PSMA-PET lesions, numbered as in the report",
            series_description=series_description(report, "PSMA lesions"),
        )


def _segment(report: Report, row: Row, number: int) -> hd.seg.SegmentDescription:
    site = standard_site(row.lesion.region)
    described = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=long_string(f"{row.lesion.lesion_id} {site_of(row.lesion, 'en')}"),
        segmented_property_category=concept(standard("abnormal_structure")),
        segmented_property_type=concept(standard("lesion")),
        algorithm_type="AUTOMATIC" if report.state == "draft" else "SEMIAUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=MAKER, family=concept(standard("algorithm_family")), version=version()
        ),
        tracking_id=printable(row.lesion.lesion_id),
        tracking_uid=tracking_uid(report, row.lesion.lesion_id),
        anatomic_regions=None if site is None else [concept(site)],
    )
    described.SegmentDescription = full_mark(report)
    return described
