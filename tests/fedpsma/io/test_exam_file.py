"""Exam files: both forms, and what is refused with its field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedpsma.domain.exam import Exam, unknown_fields
from fedpsma.domain.region import Region
from fedpsma.errors import InputError
from fedpsma.io.exam_file import read_exam, write_record

EXAM: dict[str, Any] = {
    "tracer": "68Ga-PSMA-11",
    "lesions": [{"lesion_id": "L1", "region": "LN_OBTURATOR", "side": "L", "suvmax": 12.3, "volume_ml": None}],
}


def _write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_both_forms_are_the_same_exam(tmp_path: Path) -> None:
    bare = read_exam(_write(tmp_path / "bare.json", EXAM))
    wrapped = read_exam(_write(tmp_path / "wrapped.json", {"title": "t", "exam": EXAM, "expected": {"recip": "PR"}}))
    assert bare == wrapped
    assert (bare.lesions[0].region, bare.lesions[0].side) == (Region.LN_OBTURATOR, "L")
    assert bare.lesions[0].volume_ml is None


def test_written_exam_is_read_back(tmp_path: Path) -> None:
    exam = Exam.model_validate(EXAM)
    write_record(tmp_path / "exam.json", exam)
    assert read_exam(tmp_path / "exam.json") == exam


@pytest.mark.parametrize(
    ("lesion", "named"),
    [
        ({"region": "LN_OBTURATORIUS"}, "lesions.0.region:"),
        ({"model_prob": -1}, "lesions.0.model_prob: input should be greater than or equal to 0, not '-1'"),
        ({"suvmax": "high"}, "lesions.0.suvmax:"),
        ({"model_prob": 1.2}, "lesions.0.model_prob:"),
        ({"side": "left"}, "lesions.0.side:"),
        ({"lesion_id": ""}, "lesions.0.lesion_id:"),
    ],
)
def test_wrong_field_is_named(tmp_path: Path, lesion: dict[str, Any], named: str) -> None:
    content = {**EXAM, "lesions": [{**EXAM["lesions"][0], **lesion}]}
    with pytest.raises(InputError) as refused:
        read_exam(_write(tmp_path / "exam.json", content))
    assert named in str(refused.value)
    assert len(str(refused.value)) < 400


def test_all_mistakes_are_counted(tmp_path: Path) -> None:
    content = {**EXAM, "tracer": "PSMA", "language": "fr"}
    with pytest.raises(InputError, match=r"\(and 1 more\)"):
        read_exam(_write(tmp_path / "exam.json", content))


def test_two_lesions_with_one_id_are_refused(tmp_path: Path) -> None:
    content = {**EXAM, "lesions": EXAM["lesions"] * 2}
    with pytest.raises(InputError, match="two lesions have the id 'L1'"):
        read_exam(_write(tmp_path / "exam.json", content))


@pytest.mark.parametrize("content", [[], "exam", 3, None])
def test_what_is_no_object_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError, match="holds no exam"):
        read_exam(_write(tmp_path / "exam.json", content))


def test_not_a_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exam.json").write_text('{"psma_vol_ml": NaN}')
    with pytest.raises(InputError, match="psma_vol_ml"):
        read_exam(tmp_path / "exam.json")


@pytest.mark.shared
def test_the_four_examples_are_exams_without_an_unknown_field(shared: Path) -> None:
    paths = sorted((shared / "exams").glob("*.json"))
    assert len(paths) == 4
    for path in paths:
        exam = read_exam(path)
        assert exam.lesions
        assert list(unknown_fields(exam)) == []
