"""Whose clock differs: taken from the calls of Flower's nodes, said once, and no more when it is right again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.superlink.routers.fleet import node_auth
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from made_up_federation import made_up_home, request_of

from server.federation.clocks import SiteClocks, clocks_apart

KEYS = (b"flwr-public-key", b"flwr-timestamp")


class _Asked:
    """What Flower's interceptor is given: a request to put its headers on."""

    def __init__(self) -> None:
        self.request = httpx.Request("POST", "https://localhost/v1/fleet/x")


def _call(folder: Path, name: str, ahead: timedelta, monkeypatch: pytest.MonkeyPatch) -> dict[bytes, bytes]:
    """Return the headers of a call that Flower's own code signs, with a clock that is ahead."""
    key = load_ssh_private_key((folder / f"{name}.key").read_bytes(), None)
    monkeypatch.setattr("flwr.supernode.node_auth_http_interceptor.now", lambda: datetime.now(UTC) + ahead)
    asked = _Asked()
    NodeAuthHttpInterceptor(key, key.public_key()).intercept(asked, lambda _: httpx.Response(200))  # type: ignore[arg-type]
    return {name.lower(): value for name, value in asked.request.headers.raw}


def test_a_clock_that_differs_is_said_once_and_written_down_until_it_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, said = made_up_home(tmp_path), list[str]()
    wanted = {name: request_of(tmp_path, name).node_key for name in ("north", "south")}
    clocks = SiteClocks(home, said.append)
    clocks.note(wanted)
    for minutes in (7, 7.1):
        clocks.heard(_call(tmp_path, "north", timedelta(minutes=minutes), monkeypatch))
        clocks.heard(_call(tmp_path, "south", timedelta(seconds=-3), monkeypatch))
        clocks.note(wanted)
    assert said == [
        "north: its clock is 7 min ahead of yours, more than the 5 min that are allowed; somebody has to set one"
    ]
    assert clocks_apart(home) == {"north": pytest.approx(420, abs=2)}
    clocks.heard(_call(tmp_path, "north", timedelta(0), monkeypatch))
    clocks.note(wanted)
    assert said[1:] == ["north: its clock is right again, to 30 s"]
    assert clocks_apart(home) == {}


def test_a_stranger_and_nonsense_are_not_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, said = made_up_home(tmp_path), list[str]()
    wanted = {"north": request_of(tmp_path, "north").node_key}
    request_of(tmp_path, "stranger")
    clocks = SiteClocks(home, said.append)
    clocks.note(wanted)
    clocks.heard(_call(tmp_path, "stranger", timedelta(hours=1), monkeypatch))
    known = _call(tmp_path, "north", timedelta(hours=1), monkeypatch)
    for time in (
        b"",
        b"soon",
        b"2026-01-01T00:00:00",
        b"9999-99-99",
        b"\xff",
        b"2026-01-01T00:00:00+00:00\nINFO all well",
    ):
        clocks.heard({**known, KEYS[1]: time})
    clocks.heard({})
    clocks.note(wanted)
    assert said == []
    clocks.heard(known)
    clocks.note({})
    assert clocks_apart(home) == {}, "a site that was revoked meanwhile"


def test_flower_names_the_headers_and_the_bound_that_are_used() -> None:
    assert isinstance(node_auth.SYSTEM_TIME_TOLERANCE, int)
    assert node_auth.TIMESTAMP_TOLERANCE == 300
    assert node_auth.FLEET_HTTP_PUBLIC_KEY_HEADER.encode() == KEYS[0]
    assert node_auth.TIMESTAMP_HEADER.encode() == KEYS[1]
