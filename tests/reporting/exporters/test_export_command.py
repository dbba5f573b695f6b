"""``fedpsma report export`` as a user meets it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_reading import small_report
from typer.testing import CliRunner

from fedpsma.errors import InputError
from fedpsma.io.exam_file import write_record
from fedpsma.io.files import write_json
from fedpsma.io.nifti import write_volume
from fedpsma.staging import assess
from reporting.commands import report as command
from reporting.drafting import draft_report
from reporting.exporters.export_folder import read_for_export
from reporting.exporters.registry import FORMATS
from reporting.report_folder import write_report


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A reading inside the folder of its analysis, as the demo leaves it, and the DICOM series."""
    root = tmp_path_factory.mktemp("command")
    made = small_report(root / "dicom")
    study, analysis = made.images.study, root / "analysis"
    write_record(analysis / "exam.json", made.exam)
    write_volume(analysis / "pet.nii.gz", study.pet, study.affine)
    write_volume(analysis / "lesions.nii.gz", made.images.lesion_labels.astype(np.int16), study.affine)
    write_json(analysis / "analysis.json", {"study": study.study_id, "date": study.date, "synthetic": True})
    write_report(analysis / "reading", made.exam, made.draft)
    return root


def _run(*arguments):
    return CliRunner().invoke(command, ["export", *map(str, arguments)])


def test_all_formats_come_out_with_the_images_found_beside_the_reading(places, tmp_path):
    reading = places / "analysis" / "reading"
    shown = _run(reading, "--format", "all", "--dicom", places / "dicom", "--out", tmp_path / "outbox")
    assert shown.exit_code == 0, shown.output
    assert {path.name for path in (tmp_path / "outbox").iterdir()} == {one.file_name for one in FORMATS.values()}
    assert "every file is marked DRAFT" in shown.output
    assert "SYNTHETIC PATIENT; Study: study-0123" in (tmp_path / "outbox" / "report.txt").read_text("utf-8")


def test_a_reading_with_its_report_inside_is_found_with_its_images(places, tmp_path):
    made = small_report()
    write_report(places / "analysis" / "page" / "report", made.exam, made.draft)
    found = read_for_export(places / "analysis" / "page")
    assert np.array_equal(found.images.lesion_labels, made.images.lesion_labels)
    assert found.images.synthetic


def test_all_without_dicom_says_what_is_left_out(places, tmp_path):
    shown = _run(places / "analysis" / "reading", "--format", "all", "--out", tmp_path / "outbox")
    assert shown.exit_code == 0, shown.output
    assert "left out: seg, sr, dicom-pdf" in shown.output
    assert not (tmp_path / "outbox" / "lesions.seg.dcm").exists()


def test_formats_add_up_and_a_second_export_replaces_its_own_files(places, tmp_path):
    out = tmp_path / "outbox"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    for _ in range(2):
        shown = _run(places / "analysis" / "reading", "--format", "csv", "--format", "fhir", "--out", out)
        assert shown.exit_code == 0, shown.output
    assert {path.name for path in out.iterdir()} == {"mine.txt", "report.csv", "report.fhir.json"}
    assert json.loads((out / "report.fhir.json").read_text("utf-8"))["resourceType"] == "Bundle"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--format", "hl7"), "'hl7' is no format"),
        (("--format", "text", "--format", "seg"), "no DICOM series is known"),
        (("--format", "pdf", "--analysis", "nowhere"), "is not an analysis"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(places, tmp_path, arguments, reason):
    shown = _run(places / "analysis" / "reading", *arguments, "--out", tmp_path / "outbox")
    assert isinstance(shown.exception, InputError)
    assert reason in str(shown.exception)
    assert not (tmp_path / "outbox").exists()


def test_a_reading_that_left_a_lesion_out_keeps_the_outlines_of_the_others(places, tmp_path):
    made = small_report()
    added = made.exam.lesions[0].model_copy(update={"lesion_id": "R1", "suvmax": 3.3})
    exam = made.exam.model_copy(update={"lesions": [made.exam.lesions[0], *made.exam.lesions[2:], added]})
    write_report(tmp_path / "read", exam, draft_report(exam, assess(exam)))
    images = read_for_export(tmp_path / "read", places / "analysis").images
    own = made.images.lesion_labels
    assert np.array_equal(images.lesion_labels, np.array([0, 1, 0, 2, 3, 4])[own])


def test_outlines_of_another_exam_are_refused(places, tmp_path):
    made = small_report()
    lesions = [made.exam.lesions[0].model_copy(update={"suvmax": 9.9}), *made.exam.lesions[1:]]
    write_report(tmp_path / "other", made.exam.model_copy(update={"lesions": lesions}), made.draft)
    arguments = ("--format", "pdf", "--analysis", places / "analysis", "--out", tmp_path / "outbox")
    shown = _run(tmp_path / "other", *arguments)
    assert "outline 1 has SUVmax 8.2, but L1 of the report 9.9" in str(shown.exception)
