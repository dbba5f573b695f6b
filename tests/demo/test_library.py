from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from demo.library import find_cases
from demo.reading import open_case
from fedpsma.errors import InputError


def test_the_examples_are_synthetic_by_name_and_title_and_can_be_opened(tmp_path: Path) -> None:
    cases = find_cases(None, tmp_path)
    assert len(cases) == 2
    for case in cases:
        assert case.name.startswith("synthetic")
        assert json.loads(case.exam.read_text("utf-8"))["title"].startswith("Synthetic")
        assert case.reading.parent == tmp_path
        assert open_case(case).ignored == ()


def test_the_rib_example_holds_an_indeterminate_rib_on_psma_1007(tmp_path: Path) -> None:
    reading = open_case(find_cases(None, tmp_path)[0])
    assert reading.exam.tracer == "18F-PSMA-1007"
    (open_question,) = reading.assessment.indeterminate
    assert reading.exam.lesion(open_question.lesion).region == "BONE_RIB"


def test_analysed_studies_and_loose_exams_are_found_and_kept_readings_are_not(tmp_path: Path) -> None:
    example = find_cases(None, tmp_path)[0].exam
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
