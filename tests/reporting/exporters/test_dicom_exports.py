"""SEG, SR and encapsulated PDF: read back by highdicom, checked by dciodvfy, refused for another series."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import replace

import highdicom as hd
import numpy as np
import pypdfium2
import pytest
import SimpleITK as sitk  # noqa: N813
from dicom_series import save
from pydicom import dcmread
from pydicom.uid import generate_uid
from small_reading import small_study

from fedpsma.domain.study import Study
from fedpsma.errors import InputError
from fedpsma.io.dicom.contours import read_contours
from fedpsma.io.nifti import Volume
from reporting.exporters.registry import export
from reporting.exporters.report import Images
from reporting.exporters.table import table_rows

KINDS = ("seg", "sr", "dicom-pdf")
DERIVATIONS = {"56851009": "suvmax", "373098007": "suvmean", "126031": "suvpeak"}
CODES = {"118565006": "volume_ml", "103339001": "size_mm", "103340004": "size_mm"}


@pytest.fixture(scope="module")
def made(draft_report):
    return {name: dcmread(io.BytesIO(export(draft_report, name).content)) for name in KINDS}


def _groups(dataset):
    stored = hd.sr.Comprehensive3DSR.from_dataset(dataset)
    content = stored.content
    return [*content.get_volumetric_roi_measurement_groups(), *content.get_image_measurement_groups()]


def _values(group):
    found = {}
    for one in group.get_measurements():
        derived = [item.value.value for item in one[0].get("ContentSequence", []) if item.name.value == "121401"]
        found[DERIVATIONS[derived[0]] if derived else CODES.get(one.name.value, one.name.value)] = one.value
    return found


def _evaluations(group):
    return {one.name.value: one.value for one in group.get_qualitative_evaluations()}


def test_the_segments_are_the_label_map(draft_report, made, tmp_path):
    path = tmp_path / "lesions.seg.dcm"
    path.write_bytes(export(draft_report, "seg").content)
    study = draft_report.images.study
    found = read_contours((path,), Volume(study.pet, study.affine), made["seg"].FrameOfReferenceUID, None)
    assert np.array_equal(found.labels > 0, draft_report.images.lesion_labels > 0)
    stored = hd.seg.Segmentation.from_dataset(made["seg"])
    for number in range(1, 6):
        volume = stored.get_volume(segment_numbers=[number])
        index = np.argwhere(volume.array[..., 0])
        places = (volume.get_affine("RAS") @ np.c_[index, np.ones(len(index))].T)[:3].T
        own = np.argwhere(draft_report.images.lesion_labels == number)
        expected = (study.affine @ np.c_[own, np.ones(len(own))].T)[:3].T
        assert np.allclose(sorted(map(tuple, places.round(2))), sorted(map(tuple, expected.round(2))))
        described = stored.get_segment_description(number)
        assert described.tracking_id == f"L{number}"
        assert described.segment_label.startswith(f"L{number} ")
        assert "not yet reviewed by a clinician" in described.SegmentDescription


def test_another_reader_sees_the_same_voxels(draft_report, tmp_path):
    path = tmp_path / "lesions.seg.dcm"
    path.write_bytes(export(draft_report, "seg").content)
    frames = sitk.GetArrayFromImage(sitk.ReadImage(path))
    assert int((frames > 0).sum()) == int((draft_report.images.lesion_labels > 0).sum())


def test_the_measurements_are_the_table(draft_report, made):
    groups = {group.tracking_identifier: group for group in _groups(made["sr"])}
    assert list(groups)[:5] == ["L1", "L2", "L3", "L4", "L5"]
    for row in table_rows(draft_report):
        group, lesion = groups[row.lesion.lesion_id], row.lesion
        told = {name: getattr(lesion, name) for name in (*DERIVATIONS.values(), "volume_ml", "size_mm")}
        assert _values(group) == {name: value for name, value in told.items() if value is not None}
        words = _evaluations(group)
        assert words["REGION"].value == lesion.region.value
        assert words["PSMA-RADS"].value == f"PSMA-RADS:{row.psma_rads}"
        assert words["PSMA-RADS"].scheme_designator == "99FEDPSMA"
        assert words["PSMA-RADS"].scheme_version == "2.0"
    whole = groups["patient"]
    assert _values(whole) == {"PSMA-TV": draft_report.exam.psma_vol_ml}
    assert _evaluations(whole)["MITNM"].value == f"MITNM:{draft_report.assessment.mitnm_string}"


def test_sites_carry_their_side(made):
    groups = {group.tracking_identifier: group for group in _groups(made["sr"])}
    (site,) = groups["L1"].finding_sites
    assert (site.value.value, site.laterality.value) == ("65349008", "7771000")
    (site,) = groups["L2"].finding_sites
    assert (site.value.meaning, site.laterality.meaning) == ("Rib", "Right")
    assert groups["L3"].finding_sites == []
    assert groups["L4"].finding_sites[0].laterality is None


def test_the_report_refers_to_the_segments_of_the_seg(made):
    assert made["sr"].StudyInstanceUID == made["seg"].StudyInstanceUID
    groups = [group for group in _groups(made["sr"]) if group.tracking_identifier.startswith("L")]
    for number, group in enumerate(groups, start=1):
        segment = group.referenced_segment
        assert segment.referenced_sop_instance_uid == made["seg"].SOPInstanceUID
        assert segment.referenced_segment_numbers == [number]
        assert group.tracking_uid == made["seg"].SegmentSequence[number - 1].TrackingUID


def test_patient_and_study_are_those_of_the_pet(draft_report, made):
    header = draft_report.source.headers[0]
    for one in made.values():
        assert (one.PatientID, one.PatientName) == (header.PatientID, header.PatientName)
        assert one.StudyInstanceUID == header.StudyInstanceUID


def test_drafts_say_so_and_signed_objects_are_verified(draft_report, made, sign):
    for one in made.values():
        assert one.SeriesDescription.startswith("DRAFT ")
        assert one.SeriesDescription.endswith("not for clinical use")
    draft = made["sr"]
    assert (draft.VerificationFlag, draft.CompletionFlag, draft.PreliminaryFlag) == (
        "UNVERIFIED",
        "PARTIAL",
        "PRELIMINARY",
    )
    comments = [one.TextValue for one in draft.ContentSequence if one.ValueType == "TEXT"]
    assert any("DRAFT" in one and "not yet reviewed by a clinician" in one for one in comments)
    signed = sign(draft_report)
    stored = {name: dcmread(io.BytesIO(export(signed, name).content)) for name in KINDS}
    for name, one in stored.items():
        assert one.SeriesDescription.startswith("SIGNED ")
        assert one.SOPInstanceUID != made[name].SOPInstanceUID
    report = stored["sr"]
    assert (report.VerificationFlag, report.CompletionFlag, report.PreliminaryFlag) == ("VERIFIED", "COMPLETE", "FINAL")
    (observer,) = report.VerifyingObserverSequence
    assert str(observer.VerificationDateTime).startswith("20260106103000")
    assert "Reader" in str(observer.VerifyingObserverName)


@pytest.mark.parametrize(("charset", "name"), [("ISO_IR 100", "Müller^Jörg"), ("ISO_IR 144", "Петров^Иван")])
def test_names_of_patient_and_reader_survive_any_character_set(draft_report, sign, tmp_path, charset, name):
    shutil.copytree(draft_report.dicom, tmp_path / "named")
    for path in (tmp_path / "named").rglob("*"):
        if path.is_file():
            header = dcmread(path)
            header.SpecificCharacterSet, header.PatientName = charset, name
            header.save_as(path)
    report = replace(draft_report, dicom=tmp_path / "named", images=replace(draft_report.images))
    report = sign(report, who="Prof. Jürgen \\ Иванов")
    for kind in KINDS:
        stored = dcmread(io.BytesIO(export(report, kind).content))
        assert stored.PatientName == name
        if kind == "sr":
            assert str(stored.VerifyingObserverSequence[0].VerifyingObserverName) == "Prof. Jürgen Иванов"


def test_a_hostile_lesion_id_stays_one_value(draft_report):
    hostile = draft_report.exam.lesions[0].model_copy(update={"lesion_id": "L1\\x^=\x1b[2J\n<b>"})
    exam = draft_report.exam.model_copy(update={"lesions": [hostile, *draft_report.exam.lesions[1:]]})
    report = replace(draft_report, exam=exam)
    segment = dcmread(io.BytesIO(export(report, "seg").content)).SegmentSequence[0]
    assert segment.SegmentLabel == "L1/x^=?[2J <b> left external iliac node"
    document = dcmread(io.BytesIO(export(report, "sr").content))
    assert next(iter(_groups(document))).tracking_identifier == "L1\\x^=?[2J <b>"


def test_the_pdf_in_dicom_is_the_pdf(draft_report, made):
    stored = made["dicom-pdf"]
    content = stored.EncapsulatedDocument[: stored.EncapsulatedDocumentLength]
    assert content == export(draft_report, "pdf").content
    assert len(pypdfium2.PdfDocument(content)) == 3


def test_the_same_content_keeps_its_uid(draft_report, made):
    again = dcmread(io.BytesIO(export(draft_report, "seg").content))
    assert again.SOPInstanceUID == made["seg"].SOPInstanceUID
    changed = draft_report.exam.model_copy(update={"psma_vol_ml": 99.0})
    other = dcmread(io.BytesIO(export(replace(draft_report, exam=changed), "seg").content))
    assert other.SOPInstanceUID != made["seg"].SOPInstanceUID
    assert other.SegmentSequence[0].TrackingUID == made["seg"].SegmentSequence[0].TrackingUID


def test_lesions_without_an_outline_are_measured_without_a_segment(draft_report):
    labels = draft_report.images.lesion_labels.copy()
    labels[labels == 2] = 0
    report = replace(draft_report, images=Images(draft_report.images.study, labels))
    stored = dcmread(io.BytesIO(export(report, "seg").content))
    assert [one.TrackingID for one in stored.SegmentSequence] == ["L1", "L3", "L4", "L5"]
    groups = {one.tracking_identifier: one for one in _groups(dcmread(io.BytesIO(export(report, "sr").content)))}
    assert _values(groups["L2"])["suvmax"] == draft_report.exam.lesions[1].suvmax
    assert groups["L3"].referenced_segment.referenced_segment_numbers == [2]
    with pytest.raises(InputError, match="needs the outline of a lesion"):
        export(replace(report, images=Images(draft_report.images.study, labels * 0)), "seg")
    assert export(replace(report, images=Images(draft_report.images.study, labels * 0)), "sr").content


def test_another_series_of_the_same_grid_is_refused(draft_report):
    study, labels = small_study()
    other = study.pet.copy()
    other[3, 3, 3] += 0.5
    images = Images(Study("x", "y", other, study.affine), labels)
    with pytest.raises(InputError, match="another PET than the one that was read"):
        export(replace(draft_report, images=images), "seg")


def test_of_several_series_the_voxels_choose(draft_report, tmp_path):
    shutil.copytree(draft_report.dicom, tmp_path / "both")
    series = draft_report.source.headers[0].SeriesInstanceUID
    for path in sorted((tmp_path / "both" / "PET").iterdir()):
        other = dcmread(path)
        other.PixelData = (other.pixel_array // 2).tobytes()
        other.SeriesInstanceUID, other.SeriesDescription = generate_uid(entropy_srcs=["half"]), "half"
        other.SOPInstanceUID = generate_uid(entropy_srcs=["half", path.name])
        other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
        other.save_as(tmp_path / "both" / f"half{path.name}")
    chosen = replace(draft_report, dicom=tmp_path / "both").source
    assert {one.SeriesInstanceUID for one in chosen.headers} == {series}


def test_a_multi_frame_pet_gives_the_same_outlines(draft_report, made, tmp_path):
    images = [dcmread(path) for path in sorted((draft_report.dicom / "PET").iterdir())]
    for number, one in enumerate(images, start=1):
        one.InstanceNumber = number
        for keyword in ("PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime", "AccessionNumber"):
            setattr(one, keyword, "")
    legacy = hd.legacy.LegacyConvertedEnhancedPETImage(images, generate_uid(), 1, generate_uid(), 1)
    save(tmp_path / "legacy", [legacy])
    report = replace(draft_report, dicom=tmp_path / "legacy")
    assert len(report.source.headers) == 1
    stored = hd.seg.Segmentation.from_dataset(dcmread(io.BytesIO(export(report, "seg").content)))
    classic = hd.seg.Segmentation.from_dataset(made["seg"])
    for number in range(1, 6):
        one, other = (seg.get_volume(segment_numbers=[number]) for seg in (stored, classic))
        assert np.allclose(one.affine, other.affine)
        assert np.array_equal(one.array, other.array)
    document = dcmread(io.BytesIO(export(report, "sr").content))
    assert [_values(group) for group in _groups(document)] == [_values(group) for group in _groups(made["sr"])]


def test_without_headers_the_objects_are_refused_in_one_line(draft_report):
    for name in KINDS:
        with pytest.raises(InputError, match="no DICOM series is known") as refused:
            export(replace(draft_report, dicom=None), name)
        assert "\n" not in str(refused.value)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed")
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_dciodvfy_finds_no_error(draft_report, sign, name, signed, tmp_path):
    path = tmp_path / "one.dcm"
    path.write_bytes(export(sign(draft_report) if signed else draft_report, name).content)
    told = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
    lines = (told.stdout + told.stderr).splitlines()
    assert [line for line in lines if line.startswith("Error")] == []
    assert len(lines) >= 1
