from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the page needs the extra 'demo'")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo.security import COOKIE, HEADERS, Account, Gate, Sessions, read_password
from demo.sessions import Session
from fedpsma.errors import InputError

BASE = "http://127.0.0.1:7860"
PATHS = ("/", "/fp/studies", "/fp/client/desk.js", "/fp-volumes/x/pet", "/config", "/gradio_api/info", "/anything")


def _who(request: Request) -> PlainTextResponse:
    session = request.scope.get("fedpsma_session")
    return PlainTextResponse(session.user if session else "nobody")


def _client(account: Account | None = None, left: list[Session] | None = None) -> TestClient:
    inner = Starlette(routes=[Route("/{path:path}", _who, methods=["GET", "POST"])])
    gate = Gate(inner, Sessions((left if left is not None else []).append), account)
    return TestClient(gate, base_url=BASE, follow_redirects=False)


def test_a_browser_gets_a_session_that_scripts_and_other_sites_cannot_have() -> None:
    client = _client()
    first = client.get("/")
    cookie = first.headers["set-cookie"]
    assert all(word in cookie for word in (COOKIE, "HttpOnly", "SameSite=Strict"))
    assert "set-cookie" not in client.get("/").headers
    assert client.get("/fp/studies").text == "reader"


@pytest.mark.parametrize("path", PATHS)
def test_the_login_covers_every_address(path: str) -> None:
    client = _client(Account.of("anna", "a long password"))
    answer = client.get(path)
    assert answer.status_code == (303 if path == "/" else 401)
    assert client.post(path, headers={"Origin": BASE}).status_code in (303, 401)


def test_the_right_password_opens_and_a_wrong_one_makes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account.of("anna", "a long password")
    client = _client(account)
    assert client.post("/fp/login", data={"user": "anna", "password": "wrong"}).status_code == 401
    right = {"user": "anna", "password": "a long password"}
    assert client.post("/fp/login", data=right).status_code == 429
    fresh = _client(account)
    answer = fresh.post("/fp/login", data=right)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert fresh.get("/fp/studies").text == "anna"
    assert "a long password" not in repr(account)


def test_every_answer_carries_the_headers() -> None:
    client = _client(Account.of("anna", "a long password"))
    for path in ("/", "/fp/login", "/config"):
        headers = client.get(path).headers
        for name, value in HEADERS.items():
            assert headers[name] == value


@pytest.mark.parametrize(
    ("headers", "code"),
    [({"Host": "evil.example"}, 400), ({"Origin": "http://evil.example"}, 403), ({"Origin": BASE}, 200)],
)
def test_another_hosts_name_and_foreign_posts_are_refused(headers: dict[str, str], code: int) -> None:
    client = _client()
    client.get("/")
    assert client.post("/fp/open", headers=headers).status_code == code


def test_gradios_own_upload_is_closed() -> None:
    client = _client()
    client.get("/")
    assert client.post("/gradio_api/upload").status_code == 404


def test_a_session_that_is_away_too_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[Session] = []
    sessions = Sessions(left.append)
    cookie, session = sessions.begin("anna")
    assert sessions.find(cookie) is session
    monkeypatch.setattr("demo.security._IDLE_S", -1.0)
    assert sessions.find(cookie) is None
    assert left == [session]


def test_a_password_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("a long password\n", "utf-8")
    path.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        read_password(path)
    path.chmod(0o600)
    assert read_password(path) == "a long password"
    with pytest.raises(InputError, match="shorter"):
        Account.of("anna", "short")


def test_a_broken_cookie_is_no_session() -> None:
    client: Any = _client(Account.of("anna", "a long password"))
    client.cookies.set(COOKIE, "x" * 4000)
    assert client.get("/config").status_code == 401
