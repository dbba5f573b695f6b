"""One patient who is not the same left and right, stored in many ways: every way leads to the same sides.

Import, model, table, report and picture are the real ones; the patient is synthetic and his truth is known.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from command_line import run_fedpsma
from dicom_writer import write_dicom_study

from fedpsma.domain.exam import Exam
from fedpsma.domain.study import Study
from fedpsma.io.dataset import read_dataset
from fedpsma.io.exam_file import read_exam
from fedpsma.io.nifti import read_volume
from fedpsma.phantom.patient import PhantomOptions, PhantomPatient, draw_patient
from fedpsma.pictures.mip import CORONAL, view_picture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SITE, INDEX, SEED, SPACING_MM = "C", 3, 7, 4.0
NIFTI_AXES = ("RAS", "LPS", "LAS", "PIR", "SLA")
DICOM_AXES = ("LPS", "RPI", "PIL")


@pytest.fixture(scope="module")
def patient() -> PhantomPatient:
    return draw_patient(SITE, INDEX, SEED, PhantomOptions(spacing_mm=SPACING_MM))


@pytest.fixture(scope="module")
def places(patient: PhantomPatient, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The patient's data set by each way in."""
    root = tmp_path_factory.mktemp("ways")
    return {
        "NIfTI": _from_nifti(root, patient.study),
        **{axes: _from_dicom(root, patient.study, axes) for axes in DICOM_AXES},
    }


@pytest.fixture(scope="module")
def read(places: dict[str, Path]) -> Path:
    """The analysis of the patient who came feet first by DICOM."""
    out = places["RPI"].with_name("read")
    (row,) = read_dataset(places["RPI"]).rows
    _do("analyze", places["RPI"], "--study", row.id, "--out", out)
    return out


def _do(*arguments: object) -> None:
    done = run_fedpsma(*arguments, timeout=500)
    assert done.returncode == 0, done.stderr


def _from_nifti(root: Path, study: Study) -> Path:
    with (root / "table.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["id", "patient", "pet", "ct", "tracer"])
        for axes in NIFTI_AXES:
            for kind, data in (("pet", study.pet), ("ct", study.ct)):
                nib.save(_turned(data, study, axes), root / f"{axes}_{kind}.nii")
            rows.writerow([axes, f"patient {axes}", f"{axes}_pet.nii", f"{axes}_ct.nii", study.tracer])
    options = ("--name", "ways", "--site", "C", "--contour", "pct45", "--units", "suv")
    _do("import", "nifti", root / "table.csv", "--out", root / "nifti", *options)
    return root / "nifti"


def _turned(data: np.ndarray, study: Study, axes: str) -> nib.Nifti1Image:
    image = nib.Nifti1Image(data.astype(np.float32), study.affine)
    now, wanted = nib.orientations.io_orientation(study.affine), nib.orientations.axcodes2ornt(tuple(axes))
    return image.as_reoriented(nib.orientations.ornt_transform(now, wanted))


def _from_dicom(root: Path, study: Study, axes: str) -> Path:
    write_dicom_study(root / f"export_{axes}", study, axes)
    options = ("--name", "ways", "--site", "C", "--contour", "pct45", "--key", root / "pseudonym.key")
    _do("import", "dicom", root / f"export_{axes}", "--out", root / axes, *options)
    return root / axes


def test_every_way_in_gives_the_same_patient(patient: PhantomPatient, places: dict[str, Path]) -> None:
    for way, folder in places.items():
        data = read_dataset(folder)
        for row in data.rows:
            study = data.load(row)
            assert study.tracer == patient.study.tracer
            assert study.pet.shape == patient.study.pet.shape
            assert np.abs(study.affine - patient.study.affine).max() < 1e-3
            assert np.abs(study.pet - patient.study.pet).max() <= 2e-4 * patient.study.pet.max(), (way, row.id)
            assert study.ct is not None
            assert np.abs(study.ct - patient.study.ct).max() <= 1.0


def test_the_table_has_the_sides_of_the_truth(patient: PhantomPatient, read: Path) -> None:
    sides = _matched_sides(patient, read_exam(read / "exam.json"), read)
    assert min(sum(true == side for true, _ in sides) for side in "LR") >= 3
    assert all(found == true for true, found in sides)


def _matched_sides(patient: PhantomPatient, exam: Exam, folder: Path) -> list[tuple[str, str]]:
    """Pair each found lesion with the true one it overlaps, where both have a side."""
    found, truth = read_volume(folder / "lesions.nii.gz").data, patient.study.lesions
    pairs = []
    for number, lesion in enumerate(exam.lesions, start=1):
        under = truth[(found == number) & (truth > 0)]
        if under.size and lesion.side in ("L", "R"):
            true = patient.truth.lesions[int(np.bincount(under).argmax()) - 1]
            if true.side in ("L", "R"):
                pairs.append((true.side, lesion.side))
    return pairs


def test_the_report_says_the_side_of_the_table(read: Path) -> None:
    out = read.with_name("report")
    _do("report", "draft", read / "exam.json", "--out", out, "--writer", "template")
    sides = {one.lesion_id: one.side for one in read_exam(read / "exam.json").lesions}
    words, told = {"L": "left", "R": "right"}, set()
    for section in json.loads((out / "draft.json").read_text("utf-8"))["sections"]:
        for sentence in section["sentences"]:
            cited = {sides[one] for one in sentence["cites"] if one in sides}
            if len(sentence["cites"]) == 1 and cited <= set(words) and cited:
                (side,) = cited
                other = words["R" if side == "L" else "L"]
                assert other not in sentence["text"].lower().split(), sentence["text"]
                told |= {side} if words[side] in sentence["text"].lower().split() else set()
    assert told == {"L", "R"}


def test_the_picture_shows_the_patient_as_if_he_faced_the_reader(patient: PhantomPatient, read: Path) -> None:
    """What lies on his left is drawn on the picture's right."""
    exam, labels = read_exam(read / "exam.json"), read_volume(read / "lesions.nii.gz").data.astype(np.int32)
    middle = {}
    for number, lesion in enumerate(exam.lesions, start=1):
        if lesion.side in ("L", "R"):
            alone = np.where(labels == number, 1, 0).astype(np.int32)
            bare = view_picture(patient.study, np.zeros_like(labels), [lesion], CORONAL)
            drawn = view_picture(patient.study, alone, [lesion], CORONAL)
            rim = (np.asarray(drawn) != np.asarray(bare)).any(axis=2)
            inner = rim[:, 100:-100]
            across = np.flatnonzero(inner.any(axis=0)).mean() + 100
            middle.setdefault(lesion.side, []).append(across / drawn.width)
    assert max(middle["R"]) < 0.53
    assert min(middle["L"]) > 0.47
    assert np.mean(middle["R"]) < np.mean(middle["L"]) - 0.05
