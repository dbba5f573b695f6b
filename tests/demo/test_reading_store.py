from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from reading_cases import first_result, looked_at_all, made_up_exam, marked

from demo.reading.edits import AddLesion, Exclude, SetSide
from demo.reading.history import Amend, Look, Redo, Review, Sign, Undo, advance
from demo.reading.store import ReadingStore
from fedpsma.domain.exam import Lesion
from fedpsma.errors import InputError
from fedpsma.io.chain import verify_chain

SIGN = Sign(by="Dr A", text_sha256="0" * 64, at="2026-01-01T10:00:00+00:00")
EDITS = (
    SetSide(lesion="L2", side="L"),
    Exclude(lesion="L3", reason="other", note="fracture"),
    AddLesion(added=Lesion(lesion_id="R1", region="LIVER", suvmax=7.0)),
    Undo(),
    Undo(),
    Redo(),
)


def _kept(store: ReadingStore, *actions: object) -> object:
    with store.held():
        reading = store.resume(made_up_exam(), who="Dr A").reading
        for action in actions:
            advanced = advance(reading, action)
            store.keep(reading, action, who="Dr A")
            reading = advanced
    return reading


def test_a_reading_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    store = ReadingStore(tmp_path / "reading")
    sentence = marked(first_result(), "L1", "edited", "The tumour [L1].")
    reading = _kept(store, *EDITS, sentence, *looked_at_all(), Review(), SIGN, Amend(reason="side was wrong"))
    with store.held():
        resumed = store.resume(made_up_exam(), who="Dr B")
    assert resumed.reading == reading
    assert [deed.what for deed in resumed.deeds[:3]] == ["Side", "Excluded", "Added"]
    side = resumed.deeds[0]
    assert (side.who, side.lesion, side.before, side.after) == ("Dr A", "L2", "right", "left")


def test_a_line_that_a_crash_cut_off_is_left_out_and_the_rest_is_there(tmp_path: Path) -> None:
    store = ReadingStore(tmp_path / "reading")
    _kept(store, SetSide(lesion="L2", side="L"))
    whole = store.audit.read_bytes()
    _kept(store, Exclude(lesion="L3", reason="benign"))
    store.audit.write_bytes(store.audit.read_bytes()[: len(whole) + 20])
    with store.held():
        resumed = store.resume(made_up_exam(), who="Dr A")
    assert resumed.reading.state.exam.lesion("L2").side == "L"
    assert not resumed.reading.state.excluded


def test_a_changed_log_is_refused(tmp_path: Path) -> None:
    store = ReadingStore(tmp_path / "reading")
    _kept(store, *EDITS)
    store.audit.write_text(store.audit.read_text("utf-8").replace("fracture", "artefact"), "utf-8")
    with store.held(), pytest.raises(InputError, match="does not follow"):
        store.resume(made_up_exam(), who="Dr A")


def test_the_reading_of_another_exam_is_put_aside_and_not_lost(tmp_path: Path) -> None:
    store = ReadingStore(tmp_path / "reading")
    _kept(store, *EDITS)
    with store.held():
        resumed = store.resume(made_up_exam(psma_vol_ml=20.0), who="Dr A")
    assert resumed.reading.past == ()
    (aside,) = tmp_path.glob("reading/audit-*.jsonl")
    assert aside.name in resumed.note
    verify_chain(aside)


def test_folder_and_log_are_the_readers_alone_and_held_by_one(tmp_path: Path) -> None:
    store = ReadingStore(tmp_path / "reading")
    _kept(store, Look(lesion="L1"))
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(store.audit.stat().st_mode) == 0o600
    with store.held(), pytest.raises(InputError, match="in use"), ReadingStore(tmp_path / "reading").held():
        pass


def test_every_line_says_who_did_what_when(tmp_path: Path) -> None:
    store = ReadingStore(tmp_path / "reading")
    _kept(store, *EDITS)
    first, *rest = (json.loads(line) for line in store.audit.read_text("utf-8").splitlines())
    assert set(first) == {"time", "who", "what", "exam_sha256", "previous"}
    assert all(line["who"] == "Dr A" and line["time"] and line["action"]["kind"] for line in rest)


def test_a_report_is_reviewed_before_it_is_signed_and_closed_after() -> None:
    from reading_cases import reading_after

    with pytest.raises(InputError, match="3 of 3"):
        reading_after(Review())
    with pytest.raises(InputError, match="reviewed before"):
        reading_after(*looked_at_all(), SIGN)
    reviewed = reading_after(*looked_at_all(), Review())
    assert advance(reviewed, SetSide(lesion="L2", side="L")).standing == "draft"
    signed = advance(reviewed, SIGN)
    for action in (SetSide(lesion="L2", side="L"), Undo(), Review()):
        with pytest.raises(InputError, match="signed"):
            advance(signed, action)
    amending = advance(signed, Amend(reason="side was wrong"))
    again = advance(advance(amending, Review()), SIGN)
    assert (signed.standing, amending.standing, again.standing) == ("signed", "draft", "amended")
