"""Two small made-up studies, the second one moved: aligned, matched, and told in words and files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fedpsma.commands.compare import compare
from fedpsma.comparison.folder import read_examined
from fedpsma.comparison.study_pair import Examined, compare_studies
from fedpsma.domain.exam import Exam
from fedpsma.domain.study import Study
from fedpsma.errors import InputError
from fedpsma.io.exam_file import write_record
from fedpsma.io.files import write_json
from fedpsma.io.nifti import write_volume

SHAPE, STEP_MM = (60, 40, 80), 5.0
MOVED = np.array([9.0, -6.0, 12.0])
FOCI = {"A": (110.0, 90.0, 90.0), "B": (190.0, 110.0, 200.0), "C": (150.0, 100.0, 320.0)}
SUV = {"A": 20.0, "B": 12.0, "C": 30.0}
RADIUS_MM = {"A": 11.0, "B": 11.0, "C": 17.0}


def examined(names, *, moved=False, growth=1.0, tracer="68Ga-PSMA-11", name="one", high=SHAPE[2]):
    """A body with two bones and a few hot balls; ``high`` cuts the field of view."""
    affine = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    grid = np.stack(np.meshgrid(*(np.arange(size) * STEP_MM for size in (*SHAPE[:2], high)), indexing="ij"), axis=-1)
    place = grid - (MOVED if moved else 0)
    distance = (((place - (150, 100, 200)) / (110, 75, 260)) ** 2).sum(axis=-1)
    ct = np.where(distance < 1, 40.0, -1000.0)
    for x in (100.0, 200.0):
        ct[(np.abs(place[..., 0] - x) < 14) & (distance < 0.8)] = 280.0
    ct[(np.abs(place[..., 2] - 150) < 12) & (distance < 0.9)] = -150.0
    pet = np.where(distance < 1, 1.0, 0.0)
    labels = np.zeros(pet.shape, np.int32)
    rows = []
    for number, focus in enumerate(names, start=1):
        inside = np.linalg.norm(place - FOCI[focus], axis=-1) < RADIUS_MM[focus]
        pet[inside], labels[inside] = SUV[focus] * growth, number
        ml = round(float(inside.sum()) * STEP_MM**3 / 1000, 1)
        rows.append(
            {"lesion_id": f"L{number}", "region": "BONE_PELVIS", "side": "R", "label": "malignant",
             "suvmax": SUV[focus] * growth, "volume_ml": ml, "ct_class": "suspicious"}
        )  # fmt: skip
    exam = Exam.model_validate(
        {
            "tracer": tracer,
            "reference_suv": {"blood_pool": 1.5, "liver": 5.0, "spleen": 6.0, "parotid": 15.0},
            "psma_vol_ml": sum(row["volume_ml"] for row in rows),
            "lesions": rows,
        }
    )
    study = Study(name, name, pet.astype(np.float32), affine, exam.tracer, ct.astype(np.float32), labels)
    return Examined(study, exam, "pct45", synthetic=True)


@pytest.fixture(scope="module")
def pair():
    return compare_studies(examined("ABC"), examined("BA", moved=True, growth=1.4))


def test_the_shift_between_the_studies_is_found(pair):
    middle = np.array([[150.0, 100.0, 200.0], [110.0, 90.0, 90.0]])
    assert np.abs(pair.alignment.to_earlier(middle + MOVED) - middle).max() < STEP_MM
    assert np.abs(pair.alignment.to_later(pair.alignment.to_earlier(middle)) - middle).max() < 0.5
    assert pair.alignment.modality == "CT"


def test_lesions_are_matched_whatever_their_order(pair):
    assert {(one.before, one.now) for one in pair.groups} == {(("P2",), ("L1",)), (("P1",), ("L2",))}
    assert pair.assessment.prior_change == {"L1": "increased", "L2": "increased", "P3": "resolved"}
    assert (pair.new, pair.resolved) == ([], ["P3"])
    assert pair.assessment.recip == "PR"


def test_a_new_lesion_and_another_tracer(pair):
    later = examined("ABC", moved=True, tracer="18F-PSMA-1007")
    found = compare_studies(examined("AB"), later, alignment=pair.alignment)
    assert found.new == ["L3"]
    assert found.assessment.prior_change["L1"] == "persistent_not_comparable"
    assert found.assessment.recip is None


def test_outside_the_earlier_field_of_view_nothing_is_new(pair):
    found = compare_studies(examined("AB", high=55), examined("ABC", moved=True), alignment=pair.alignment)
    assert found.match.uncovered_before == {"L3"}
    assert found.assessment.prior_change["L3"] == "not_applicable"
    assert found.assessment.recip is None


def analysed(folder, one):
    """Write what ``fedpsma analyze`` leaves and a comparison reads."""
    folder.mkdir()
    write_record(folder / "exam.json", one.exam)
    for name, data in (("pet", one.study.pet), ("ct", one.study.ct.astype(np.int16)), ("lesions", one.study.lesions)):
        write_volume(folder / f"{name}.nii.gz", data, one.study.affine)
    write_json(
        folder / "analysis.json",
        {"study": one.study.study_id, "synthetic": True, "contour": {"convention": one.segmentation_rule}},
    )
    return folder


def run(*arguments):
    app = typer.Typer()
    app.command()(compare)
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_the_command_writes_page_picture_and_records(tmp_path):
    first = analysed(tmp_path / "a", examined("AB", name="first"))
    second = analysed(tmp_path / "b", examined("ABC", name="second", growth=1.5))
    result = run(first, second, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "P1 -> L1: increased" in result.stdout
    assert "RECIP 1.0:  PD" in result.stdout
    summary = json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8"))
    assert summary["new"] == ["L3"]
    page = (tmp_path / "out" / "comparison.html").read_text("utf-8")
    assert "No clinician has reviewed" in page
    assert "Synthetic patient" in page
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 1000
    assert run(first, second, "--out", tmp_path / "out").exit_code == 0
    assert isinstance(run(first, second, "--out", first).exception, InputError)


def test_what_is_no_analysis_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not an analysis"):
        read_examined(tmp_path)
    (tmp_path / "analysis.json").write_text("{}")
    with pytest.raises(InputError, match="no PET to align"):
        read_examined(tmp_path)
