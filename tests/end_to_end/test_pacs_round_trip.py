"""Against a real PACS: a study is found and fetched, its SEG, SR and PDF are stored, found and read back equal."""

from __future__ import annotations

import io
import logging
import stat
from dataclasses import replace
from datetime import date
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from command_line import run_fedpsma
from orthanc import PASSWORD, USER, Orthanc, missing, running_orthanc
from pydicom import dcmread
from small_reading import small_report
from typer.testing import CliRunner

from fedpsma.commands.pacs import pacs
from fedpsma.errors import InputError
from fedpsma.io.dicom.study import load_dicom_study
from fedpsma.io.dicomweb.client import Pacs, connect
from fedpsma.io.dicomweb.fetch import fetch_study
from fedpsma.io.dicomweb.find import StudyQuery, find_archived
from fedpsma.io.dicomweb.settings import Login, PacsSettings
from reporting.exporters.export_folder import write_exports
from reporting.exporters.report import Report

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")
MRN = "MRN-4711"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


@pytest.fixture(scope="module")
def archive(orthanc: Orthanc) -> Pacs:
    return connect(PacsSettings(orthanc.url, Login(USER, PASSWORD)))


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Report:
    """The small reading; its DICOM files bear a date, which the test writer leaves out."""
    made = small_report(tmp_path_factory.mktemp("pacs") / "export")
    for path in made.dicom.rglob("*"):
        if path.is_file():
            dataset = dcmread(path)
            dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260105", "110000", "1"
            dataset.StudyDescription = "PSMA [bold]PET/CT"
            dataset.save_as(path)
    return made


@pytest.fixture(scope="module")
def study_uid(archive: Pacs, report: Report) -> str:
    """The study, stored in the archive as a scanner would."""
    images = [dcmread(path) for path in sorted(report.dicom.rglob("*")) if path.is_file()]
    archive.web.store_instances(images)
    return str(images[0].StudyInstanceUID)


def _run(monkeypatch, *arguments: object, login: bool = True, given: str | None = None):
    monkeypatch.setenv("FEDPSMA_PACS_USER", USER)
    monkeypatch.setenv("FEDPSMA_PACS_PASSWORD", PASSWORD if login else "wrong")
    return CliRunner().invoke(pacs, [str(one) for one in arguments], input=given)


def test_a_study_is_found_by_patient_and_by_date(archive, study_uid, monkeypatch, orthanc):
    for query in (StudyQuery(patient_id=MRN), StudyQuery(since=date(2026, 1, 5))):
        (found,) = find_archived(archive, query).studies
        assert (found.uid, found.patient_id, found.date) == (study_uid, MRN, "20260105")
        assert {"PT", "CT"} <= set(found.modalities)
    assert find_archived(archive, StudyQuery(patient_id="nobody")).studies == ()
    shown = _run(monkeypatch, "find", "--url", orthanc.url, "--patient", MRN)
    assert shown.exit_code == 0, shown.output
    assert study_uid in shown.output
    assert "PSMA [bold]PET/CT" in shown.output
    asked = _run(monkeypatch, "find", "--url", orthanc.url, "--patient", "-", given=MRN)
    assert study_uid in asked.output


def test_a_fetched_study_is_the_stored_one_and_goes_on_where_it_stopped(archive, study_uid, report, tmp_path):
    first = fetch_study(archive, study_uid, tmp_path / "incoming")
    files = sorted(first.folder.rglob("*.dcm"))
    assert (first.new, first.kept) == (len(files), 0)
    assert stat.S_IMODE((tmp_path / "incoming").stat().st_mode) == 0o700
    read = load_dicom_study(first.folder, key=bytes(32))
    assert np.abs(read.pet - report.images.study.pet).max() < 1e-3
    assert read.ct is not None
    kept = files[0].read_bytes()
    for gone in files[5:9]:
        gone.unlink()
    second = fetch_study(archive, study_uid, tmp_path / "incoming")
    assert (second.new, second.kept) == (4, len(files) - 4)
    assert files[0].read_bytes() == kept


def test_the_command_fetches_and_says_what_it_read(study_uid, tmp_path, monkeypatch, orthanc):
    shown = _run(monkeypatch, "get", study_uid, "--out", tmp_path / "in", "--url", orthanc.url)
    assert shown.exit_code == 0, shown.output
    assert "readable: PET of 40 x 32 x 56 voxels" in shown.output
    assert "Muster" not in shown.output


@pytest.mark.slow
def test_a_fetched_study_can_be_analysed(archive, study_uid, tmp_path):
    place = fetch_study(archive, study_uid, tmp_path / "incoming").folder
    done = run_fedpsma("analyze", place, "--out", tmp_path / "read", timeout=500, XDG_CONFIG_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "read" / "exam.json").is_file()


def test_stored_objects_are_found_and_read_back_equal(archive, study_uid, report, tmp_path, monkeypatch, orthanc):
    source = fetch_study(archive, study_uid, tmp_path / "incoming").folder
    written = write_exports(replace(report, dicom=source), ("seg", "sr", "dicom-pdf"), tmp_path / "outbox")
    shown = _run(monkeypatch, "store", *written, "--url", orthanc.url)
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("stored: ") == 3
    assert shown.output.count("DRAFT") == 3
    for path in written:
        sent = dcmread(path)
        back = archive.web.retrieve_instance(study_uid, sent.SeriesInstanceUID, sent.SOPInstanceUID)
        stream = io.BytesIO()
        back.save_as(stream, enforce_file_format=True)
        back = dcmread(io.BytesIO(stream.getvalue()))
        assert back == sent
        if sent.Modality == "SEG":
            labels = hd.seg.Segmentation.from_dataset(back).get_volume(combine_segments=True)
            assert int((labels.array > 0).sum()) == int((report.images.lesion_labels > 0).sum())
    (found,) = find_archived(archive, StudyQuery(patient_id=MRN)).studies
    assert {"SEG", "SR", "DOC"} <= set(found.modalities)
    again = _run(monkeypatch, "store", *written, "--url", orthanc.url)
    assert again.exit_code == 0, again.output
    (same,) = find_archived(archive, StudyQuery(patient_id=MRN)).studies
    assert same.images == found.images


def test_a_wrong_login_is_one_line_without_the_patient(orthanc, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    shown = _run(monkeypatch, "find", "--url", orthanc.url, "--patient", MRN, login=False)
    assert isinstance(shown.exception, InputError)
    assert "asks for a login" in str(shown.exception)
    for text in (str(shown.exception), caplog.text):
        assert MRN not in text
        assert PASSWORD not in text
        assert "wrong" not in text


def test_what_is_no_study_or_no_derived_object_is_refused(archive, study_uid, report, tmp_path, monkeypatch, orthanc):
    with pytest.raises(InputError, match="no study of this UID"):
        fetch_study(archive, "1.2.3.4", tmp_path / "none")
    with pytest.raises(InputError, match="UID that is none"):
        fetch_study(archive, "../../etc", tmp_path / "none")
    (tmp_path / "open").mkdir(mode=0o755)
    Path(tmp_path / "open").chmod(0o755)
    with pytest.raises(InputError, match="open to other users"):
        fetch_study(archive, study_uid, tmp_path / "open")
    image = next(path for path in report.dicom.rglob("*") if path.is_file())
    refused = _run(monkeypatch, "store", image, "--url", orthanc.url)
    assert "nothing that is stored from here" in str(refused.exception)
