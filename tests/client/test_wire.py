"""Messages over the socket arrive as they were sent; what is none, or too large, is refused before it is read."""

from __future__ import annotations

import json
import socket
import struct
import threading

import numpy as np
import pytest

from client.envelope import Envelope
from client.wire import WireError, receive, send

MESSAGE = Envelope(
    "train",
    {"order": {"json": '{"é": 1}', "signature": "00"}},
    {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": np.zeros((0, 2), np.float32), "one": np.float32(3)},
    flower_run=2**63,
    node=7,
)


def _through(content: bytes) -> Envelope:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(content)
        theirs.shutdown(socket.SHUT_WR)
        return receive(ours)


def _frame(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text + body


def test_a_message_arrives_as_it_was_sent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        arrays = {**MESSAGE.arrays, "one": np.full((), 3, np.float32), "t": np.ones((3, 2), np.float32).T}
        sent = Envelope(MESSAGE.kind, MESSAGE.records, {**arrays, "masked": np.arange(5, dtype=np.uint32)}, 2**63, 7)
        sender = threading.Thread(target=send, args=(theirs, sent))
        sender.start()
        found = receive(ours)
        sender.join()
    assert (found.kind, found.records, found.flower_run, found.node) == (sent.kind, sent.records, 2**63, 7)
    assert found.arrays.keys() == sent.arrays.keys()
    for name, array in sent.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype


def _header(**changes: object) -> dict[str, object]:
    return {"kind": "train", "records": {}, "arrays": [], **changes}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x00",
        struct.pack(">I", 2**31) + b"{}",
        _frame(b"not json"),
        _frame([1, 2]),
        _frame(_header(pickle="gASVBQ==")),
        _frame(_header(records={"secrets": {"json": "{}"}})),
        _frame(_header(records={"order": {"path": "/etc/passwd"}})),
        _frame(_header(arrays=[{"name": "a", "dtype": "object", "shape": [1]}])),
        _frame(_header(arrays=[{"name": "a", "dtype": "float32", "shape": [-1]}])),
        _frame(_header(arrays=[{"name": "a", "dtype": "float32", "shape": [2**30, 2**30]}])),
        _frame(_header(arrays=[{"name": "a", "dtype": "float32", "shape": [4]}]), b"\x00" * 15),
    ],
)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(WireError):
        _through(content)


@pytest.mark.parametrize("dtype", [np.float64, np.int32, object])
def test_other_types_of_numbers_do_not_travel(dtype: type) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(WireError):
        send(theirs, Envelope("train", {}, {"a": np.zeros(1, dtype)}))
