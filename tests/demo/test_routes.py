from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the page needs the extra 'demo'")

from fastapi import FastAPI
from reading_cases import made_up_exam
from starlette.testclient import TestClient

from demo.library import Case, find_cases
from demo.routes import LARGEST_UPLOAD, desk_router
from demo.security import Gate, Sessions
from demo.sessions import Folders, ReadingRoom
from reporting.report_folder import read_report

BASE = "http://127.0.0.1:7860"


class Room:
    """A reading room with made-up studies, and browsers in it."""

    def __init__(self, folder: Path, studies: int = 2) -> None:
        for number in range(studies):
            place = folder / f"study{number}"
            place.mkdir(parents=True)
            (place / "exam.json").write_text(made_up_exam(indication=f"secret {number}").model_dump_json(), "utf-8")
        self.cases: tuple[Case, ...] = find_cases(folder, folder)
        self.room = ReadingRoom(self.cases, Folders(folder.with_name("uploads"), folder.with_name("readings")))
        inner = FastAPI()
        inner.include_router(desk_router(self.room))
        inner.get("/")(lambda: "page")
        self.gate = Gate(inner, Sessions(self.room.leave))

    def browser(self) -> TestClient:
        """A browser that has just opened the page."""
        client = TestClient(self.gate, base_url=BASE)
        client.get("/")
        return client


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "studies")


def _opened(client: TestClient, study: int, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/fp/open", json={"study": study, **more}).json()
    return answer


def _acted(client: TestClient, token: str, **asked: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post(f"/fp/reading/{token}/act", json=asked).json()
    return answer


def test_an_edit_answers_with_what_changed_and_nothing_else(room: Room) -> None:
    client = room.browser()
    opened = _opened(client, 0)
    answer = _acted(client, opened["token"], kind="side", lesion="L2", side="L")
    panels = answer["panels"]
    assert set(panels["table"]["pieces"]) == {"L2"}
    assert "miT2u N1 (OBL) M1b (uni)" in panels["summary"]["whole"]
    assert "bone" not in panels["report"]["pieces"]
    assert "updated" in panels["report"]["pieces"]["pelvic_nodes"]
    assert "identity" not in panels


def test_from_the_first_look_to_a_signed_report_in_the_folder(room: Room) -> None:
    client = room.browser()
    token = _opened(client, 0)["token"]
    assert "has to be reviewed" in client.get(f"/fp/reading/{token}/export/text").json()["detail"]
    assert "2 of 3" in _acted(client, token, kind="review")["problem"]
    for lesion in ("L1", "L2", "L3"):
        _acted(client, token, kind="look", lesion=lesion)
    assert _acted(client, token, kind="review")["standing"] == "reviewed"
    assert "DRAFT" in client.get(f"/fp/reading/{token}/text").text.upper()
    assert _acted(client, token, kind="sign", by="Dr A")["standing"] == "signed"
    assert "signed" in _acted(client, token, kind="undo")["problem"]

    report = read_report(room.cases[0].reading / "report")
    assert report.sign_off is not None
    assert report.sign_off.who == "Dr A"
    assert report.signed
    text = client.get(f"/fp/reading/{token}/export/text")
    assert 'filename="report.txt"' in text.headers["content-disposition"]
    assert "DRAFT" not in text.text
    assert client.get(f"/fp/reading/{token}/export/nothing").status_code == 422


def test_a_reading_is_reached_by_its_own_session_only(room: Room) -> None:
    first, second = room.browser(), room.browser()
    token = _opened(first, 0)["token"]
    for path in ("act", "word"):
        assert second.post(f"/fp/reading/{token}/{path}", json={"kind": "undo"}).status_code == 404
    for path in ("text", "export/text"):
        assert second.get(f"/fp/reading/{token}/{path}").status_code == 404
    stranger = TestClient(room.gate, base_url=BASE)
    assert stranger.post("/fp/open", json={"study": 0}).status_code == 401


def test_ten_browsers_at_once_each_see_their_own_study_alone(tmp_path: Path) -> None:
    room = Room(tmp_path / "studies", studies=10)
    browsers = [room.browser() for _ in range(10)]
    tokens = [_opened(browser, number)["token"] for number, browser in enumerate(browsers)]
    for number, (browser, token) in enumerate(zip(browsers, tokens, strict=True)):
        told = json.dumps(_acted(browser, token, kind="own", section="bone", text=f"note {number}"))
        assert f"note {number}" in told
        whole = json.dumps(_opened(browser, number))
        assert f"secret {number}" in whole
        assert not any(f"secret {other}" in whole or f"note {other}" in whole for other in range(10) if other != number)


def test_a_study_that_is_being_read_is_taken_over_on_demand_only(room: Room) -> None:
    first, second = room.browser(), room.browser()
    token = _opened(first, 0)["token"]
    assert _opened(second, 0)["busy"]
    taken = _opened(second, 0, take_over=True)
    assert taken["token"] != token
    assert first.post(f"/fp/reading/{token}/act", json={"kind": "undo"}).status_code == 404
    assert _opened(room.browser(), None)["name"] == "study1"  # type: ignore[arg-type]


def test_leaving_frees_the_study_and_coming_back_goes_on(room: Room) -> None:
    first, second = room.browser(), room.browser()
    token = _opened(first, 0)["token"]
    _acted(first, token, kind="exclude", lesion="L3", reason="benign")
    first.post(f"/fp/reading/{token}/leave")
    assert "excluded" in json.dumps(_opened(second, 0))


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "nonsense"},
        {},
        {"kind": "side", "lesion": "L2", "side": "X"},
        {"kind": "side", "lesion": "L9", "side": "L"},
        {"kind": "exclude", "lesion": "L2", "reason": "no such reason"},
        {"kind": "sentence", "key": "none", "deed": "accepted"},
        {"kind": "sign", "by": "Dr A"},
        {"kind": "add", "at": [1, 2, 3]},
        {"kind": "split", "lesion": "L1"},
        {"kind": "undo"},
        {"kind": "own", "section": "bone", "text": "   "},
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(room: Room, asked: dict[str, Any]) -> None:
    client = room.browser()
    token = _opened(client, 0)["token"]
    audit = room.cases[0].reading / "audit.jsonl"
    before = audit.read_bytes()
    problem = _acted(client, token, **asked)["problem"]
    assert problem
    assert "\n" not in problem
    assert audit.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe\x00", b'{"lesions": 3}', b"%PDF-1.7", b"[" * 100_000])
def test_an_upload_that_is_no_exam_is_refused_by_its_content(room: Room, content: bytes) -> None:
    client = room.browser()
    answer = client.post("/fp/upload?name=exam.json", content=content).json()
    assert "token" not in answer
    assert "\n" not in answer["problem"]
    assert not list(room.room.keeps.uploads.rglob("*.json"))


def test_an_upload_is_open_to_its_session_alone_and_has_a_limit(room: Room) -> None:
    first, second = room.browser(), room.browser()
    content = made_up_exam(indication="uploaded secret").model_dump_json()
    opened = first.post("/fp/upload?name=<b>.json", content=content).json()
    assert opened["token"]
    assert len(room.room.cases(next(iter(room.room._owners.values()))[0])) == 3
    assert "study 2" in _opened(second, 2)["problem"]
    assert first.post("/fp/upload", content=b" " * (LARGEST_UPLOAD + 1)).status_code == 413


def test_a_study_whose_images_are_broken_can_still_be_read(tmp_path: Path) -> None:
    room = Room(tmp_path / "studies")
    place = room.cases[0].exam.parent
    (place / "analysis.json").write_text('{"study": "s1"}', "utf-8")
    (place / "pet.nii.gz").write_bytes(b"no volume")
    opened = _opened(room.browser(), 0)
    assert opened["viewer"] is None
    assert "No images" in opened["panels"]["checks"]["whole"]
    assert "L1" in opened["order"]


def test_a_draft_that_comes_late_does_not_reach_another_case(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The language model's sentences belong to codes, so a case that was opened meanwhile never shows another's."""
    client = room.browser()
    first = _opened(client, 0)["token"]
    client.post(f"/fp/reading/{first}/word", json={"writer": "template"})
    second = _opened(client, 1)
    client.post(f"/fp/reading/{first}/word", json={})
    again = client.post(f"/fp/reading/{second['token']}/word", json={}).json()
    assert "secret 0" not in json.dumps(again) + json.dumps(second)
