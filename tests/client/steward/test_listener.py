"""From Flower's message through the shim and the socket to the steward and back."""

from __future__ import annotations

import socket
import stat
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fake_coordinator import GENEROUS, WEIGHTS, Coordinator, set_policy
from flwr.app import ConfigRecord, Context, Message, RecordDict
from packed_record import arrays_in, packed_record

from client.app import app
from client.envelope import Envelope
from client.steward.home import SiteHome
from client.steward.listener import Listener
from client.steward.steward import Steward
from client.wire import WireError, ask, send
from server.flower import take_identity


@pytest.fixture
def listening(home: SiteHome) -> Iterator[Steward]:
    steward = Steward(home)
    listener = Listener(home.socket_path, steward.answer)
    yield steward
    listener.close()


def _as_flower(home: SiteHome, asked: Envelope) -> Message:
    take_identity()
    content: dict[str, Any] = {name: ConfigRecord(dict(texts)) for name, texts in asked.records.items()}
    if asked.arrays:
        content["weights"] = packed_record(asked.arrays)
    context = Context(1, 1, {"steward": str(home.socket_path)}, RecordDict(), {"run-folder": "/nowhere"})
    return app(Message(RecordDict(content), 1, asked.kind), context)


@pytest.mark.usefixtures("listening")
def test_an_order_goes_through_the_shim_and_comes_back_signed(home: SiteHome, coordinator: Coordinator) -> None:
    message = _as_flower(home, coordinator.order("north"))
    assert set(message.content) == {"report", "weights"}
    texts = {key: str(text) for key, text in message.content["report"].items()}
    reply = Envelope("train", {"report": texts}, arrays_in(message))
    assert coordinator.believes(reply, "north", home.request().signing_key)


@pytest.mark.usefixtures("listening")
def test_only_the_owner_can_reach_the_steward(home: SiteHome) -> None:
    assert stat.S_IMODE(home.socket_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700


def test_without_a_steward_the_shim_answers_with_a_code(home: SiteHome, coordinator: Coordinator) -> None:
    message = _as_flower(home, coordinator.order("north"))
    assert "internal_error" in str(message.content["refusal"]["json"])
    assert str(home.folder) not in repr(message)


def test_training_ends_when_whoever_asked_is_gone(home: SiteHome, coordinator: Coordinator, listening: Steward) -> None:
    set_policy(home, GENEROUS.replace("tiny_trainer", "endless_trainer"))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(home.socket_path))
        send(connection, coordinator.order("north"))
        _await(lambda: listening.stops.run == "r")
    _await(lambda: listening.stops.run is None)


def test_training_ends_when_the_run_is_over_at_the_coordinator(
    home: SiteHome, coordinator: Coordinator, listening: Steward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flower's process of the message asks there, and goes away; the steward needs no network for that."""
    monkeypatch.setattr("client.wire.LOOK_S", 0.05)
    set_policy(home, GENEROUS.replace("tiny_trainer", "endless_trainer"))
    with pytest.raises(WireError, match="nobody waits"):
        ask(home.socket_path, coordinator.order("north"), lambda: listening.stops.run == "r")
    _await(lambda: listening.stops.run is None)


def test_rubbish_on_the_socket_does_not_end_the_steward(
    home: SiteHome, coordinator: Coordinator, listening: Steward
) -> None:
    for rubbish in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x02{}", b"\xff" * 64):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(home.socket_path))
            connection.sendall(rubbish)
    reply = ask(home.socket_path, coordinator.order("north"))
    np.testing.assert_array_equal(reply.arrays["frozen"], WEIGHTS["frozen"])


def _await(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
