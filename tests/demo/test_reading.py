from __future__ import annotations

from pathlib import Path

import pytest

from demo.library import Case, find_cases
from demo.reading import READER, Written, keep, open_case, review, section_texts, write_draft
from fedpsma.errors import InputError
from reporting.draft import Draft


@pytest.fixture
def written(tmp_path: Path) -> Written:
    reading = open_case(find_cases(None, tmp_path / "readings")[0])
    written = write_draft(reading, "template")
    assert "template" in written.why
    return written


def test_an_unedited_draft_keeps_every_sentence_and_is_reviewed(written: Written) -> None:
    draft = written.draft
    reviewed = review(written, section_texts(draft))
    assert reviewed.sections == draft.sections
    assert reviewed.state == "reviewed"
    assert reviewed.verification.passed


def test_only_the_changed_line_becomes_the_readers(written: Written) -> None:
    draft = written.draft
    first, second = section_texts(draft)["bone"].splitlines()
    changed = f"{first.replace('indeterminate', 'faint, indeterminate')}\n\n  {second}  \n"
    reviewed = review(written, {"bone": changed})
    own, kept = reviewed.section("bone").sentences
    assert (own.origin, own.template) == ("reader", own.text)
    assert "L1" in own.cites
    assert kept == draft.section("bone").sentences[1]
    assert reviewed.section("impression") == draft.section("impression")
    assert reviewed.provenance.sentences_by_origin["reader"] == 1
    assert sum(reviewed.provenance.sentences_by_origin.values()) == sum(len(one.sentences) for one in reviewed.sections)


def test_a_wrong_number_of_the_reader_fails_its_check(written: Written) -> None:
    draft = written.draft
    wrong = section_texts(draft)["bone"].replace("SUVmax 5.6", "SUVmax 9.9")
    reviewed = review(written, {"bone": wrong})
    failed = {check.name for check in reviewed.verification.checks if not check.passed}
    assert "numbers" in failed
    assert draft.verification.passed


def test_a_new_line_stands_on_the_reader_and_a_deleted_one_is_gone(written: Written) -> None:
    reviewed = review(written, {"incidental": "Sigmoid diverticulosis.", "technique": ""})
    (new,) = reviewed.section("incidental").sentences
    assert new.cites == [READER]
    assert reviewed.section("technique").sentences == []


def test_a_corrected_line_stands_on_what_the_drafted_one_stood_on(written: Written) -> None:
    draft = written.draft
    before = draft.section("comparison").sentences[0]
    reviewed = review(written, {"comparison": before.text.replace("for comparison", "to compare with")})
    assert reviewed.section("comparison").sentences[0].cites == before.cites


def test_keeping_writes_the_whole_report_and_replaces_an_older_one(written: Written) -> None:
    keep(written.reading, review(written, {"incidental": "Older."}))
    keep(written.reading, review(written, {"incidental": "Newer."}))
    folder = written.reading.case.reading
    kept = Draft.model_validate_json((folder / "draft.json").read_text("utf-8"))
    assert [one.text for one in kept.section("incidental").sentences] == ["Newer."]
    assert "Newer." in (folder / "report.md").read_text("utf-8")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe\x00", b'{"lesions": [{"region": "LIVER"}]}'])
def test_what_is_no_exam_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "exam.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        open_case(Case("x", path, None, tmp_path / "reading"))
    assert "\n" not in str(caught.value)
