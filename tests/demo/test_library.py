from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from demo.library import find_cases, identity_of, uploaded_case
from fedpsma.domain.exam import unknown_fields
from fedpsma.errors import InputError
from fedpsma.io.exam_file import read_exam
from fedpsma.staging import assess


def _example(readings: Path, name: str) -> Path:
    return next(case.exam for case in find_cases(None, readings) if case.name == name)


def test_the_examples_are_synthetic_by_name_and_title_and_can_be_opened(tmp_path: Path) -> None:
    cases = find_cases(None, tmp_path)
    assert len(cases) == 3
    assert [case.folder is not None for case in cases] == [True, False, False]
    for case in cases:
        assert case.name.startswith("synthetic")
        assert "synthetic" in (case.folder / "analysis.json" if case.folder else case.exam).read_text("utf-8").lower()
        assert case.reading.parent == tmp_path
        exam = read_exam(case.exam)
        assert list(unknown_fields(exam)) == []
        assert identity_of(case, exam).synthetic


def test_the_rib_example_holds_an_indeterminate_rib_on_psma_1007(tmp_path: Path) -> None:
    exam = read_exam(_example(tmp_path, "synthetic-indeterminate-rib"))
    assert exam.tracer == "18F-PSMA-1007"
    (open_question,) = assess(exam).indeterminate
    assert exam.lesion(open_question.lesion).region == "BONE_RIB"


def test_whose_study_it_is_comes_from_the_exam_or_the_analysis(tmp_path: Path) -> None:
    example = json.loads(_example(tmp_path, "synthetic-indeterminate-rib").read_text("utf-8"))["exam"]
    place = tmp_path / "study"
    place.mkdir()
    (place / "exam.json").write_text(json.dumps({**example, "patient_name": "A^B", "patient_id": "7"}), "utf-8")
    (place / "analysis.json").write_text(json.dumps({"study": "s1", "date": "2026-02-03", "synthetic": True}), "utf-8")
    (case,) = find_cases(tmp_path, tmp_path)
    found = identity_of(case, read_exam(case.exam))
    assert (found.patient, found.patient_id, found.date, found.synthetic) == ("A^B", "7", "2026-02-03", True)


def test_two_uploads_of_one_name_keep_their_readings_apart(tmp_path: Path) -> None:
    one, other = (uploaded_case("../../exam.json", content, tmp_path, tmp_path) for content in (b"{}", b"[]"))
    assert one.reading != other.reading
    for case in (one, other):
        assert case.exam.resolve().is_relative_to(tmp_path)
        assert case.exam.stat().st_mode & 0o077 == 0


def test_analysed_studies_and_loose_exams_are_found_and_kept_readings_are_not(tmp_path: Path) -> None:
    example = _example(tmp_path, "synthetic-primary-staging")
    for place in ("b/exam.json", "a/exam.json", "a/reading/exam.json", "loose.exam.json"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(example, tmp_path / place)
    (tmp_path / "a" / "mip.png").write_bytes(b"picture")
    first, second, loose = find_cases(tmp_path, tmp_path / "unused")
    assert (first.name, second.name, loose.name) == ("a", "b", "loose.exam.json")
    assert first.picture == tmp_path / "a" / "mip.png"
    assert second.picture is None
    assert first.reading == tmp_path / "a" / "reading"
    assert len({case.reading for case in (first, second, loose)}) == 3


@pytest.mark.parametrize("name", ["", "missing"])
def test_a_folder_with_nothing_to_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        find_cases(tmp_path / name, tmp_path)
