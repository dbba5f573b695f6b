"""Running a check: what is read again, what is written, and that text of the data set stays text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedpsma.io.dataset import read_dataset, write_dataset
from fedpsma.site_check import cache
from fedpsma.site_check.check import check_dataset
from fedpsma.site_check.report import CheckReport


@pytest.fixture
def read_ids(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the studies that are measured from now on."""
    seen: list[str] = []
    measure = cache.study_facts

    def watched(folder: Path, row: Any) -> Any:
        seen.append(row.id)
        return measure(folder, row)

    monkeypatch.setattr(cache, "study_facts", watched)
    return seen


def test_a_second_check_reads_only_what_changed(cohort: Any, read_ids: list[str]) -> None:
    first = cohort.check()
    assert read_ids == []
    row = cohort.rows[3]
    cohort.volume(row.mask, lambda mask: 0 * mask)
    assert cohort.check() != first
    assert read_ids == [row.id]


def test_a_broken_or_foreign_cache_is_measured_again(cohort: Any, read_ids: list[str]) -> None:
    facts = sorted((cohort.folder / "check" / "facts").glob("*.json"))
    facts[0].write_text("{", "utf-8")
    facts[1].unlink()
    before = (cohort.folder / "check" / "check.json").read_text("utf-8")
    cohort.check()
    assert sorted(read_ids) == [path.stem for path in facts[:2]]
    assert (cohort.folder / "check" / "check.json").read_text("utf-8") == before


def test_facts_of_a_study_that_left_are_deleted(cohort: Any) -> None:
    data = cohort.data
    write_dataset(cohort.folder, data.info, list(data.rows[1:]))
    cohort.check()
    assert not (cohort.folder / "check" / "facts" / f"{data.rows[0].id}.json").exists()


def test_two_workers_say_the_same_as_one(cohort: Any, tmp_path: Path) -> None:
    data = read_dataset(cohort.folder)
    few = write_dataset(cohort.folder, data.info, list(data.rows[:2]))
    seen: list[str] = []
    two = check_dataset(few, tmp_path / "two", workers=2, on_study=seen.append)
    one = check_dataset(few, tmp_path / "one", workers=1)
    assert two == one
    assert sorted(seen) == [row.id for row in few.rows]
    assert (tmp_path / "one" / "check.json").read_text("utf-8") == (tmp_path / "two" / "check.json").read_text("utf-8")


def test_the_json_is_the_report(cohort: Any) -> None:
    report = cohort.check()
    content = (cohort.folder / "check" / "check.json").read_text("utf-8")
    assert CheckReport.model_validate_json(content) == report
    assert json.loads(content)["summary"]["patients"] == 6


def test_the_page_escapes_and_loads_nothing(cohort: Any) -> None:
    cohort.info(name="<script>alert(1)</script>", site="a & b")
    cohort.row(0, scanner='<img src="x">', tracer=None)
    cohort.check()
    page = (cohort.folder / "check" / "check.html").read_text("utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "a &amp; b" in page
    assert "http" not in page
    assert "Training must not start: 1 error" in page
    assert page.index("Problems") < page.index("At a glance")


def test_files_of_others_in_the_folder_of_the_report_stay(tmp_path: Path) -> None:
    folder = tmp_path / "facts"
    folder.mkdir()
    (folder / "mine.json").write_text('{"mine": 1}')
    cache.forget_others(folder, [])
    assert (folder / "mine.json").is_file()
