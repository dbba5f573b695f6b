"""The socket of the steward: readable and writable by its owner alone, one thread a message."""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from client.envelope import Envelope
from client.steward.watch import Check
from client.wire import WireError, receive, send

_LOG = logging.getLogger(__name__)
# Flower sends one message at a time; more at once would be somebody else.
MOST_AT_ONCE = 8
IDLE_S = 60.0


class Answer(Protocol):
    """What answers messages."""

    def __call__(self, asked: Envelope, gone: Check) -> Envelope:
        """Return the answer; ``gone`` says whether whoever asked has gone away."""
        ...


class Listener:
    """Listens on a Unix socket until it is closed.

    Args:
        path: The socket; one that an earlier process left is replaced.
        answer: Answers a message.
    """

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._socket = _bound(path)
        threading.Thread(target=self._accept, name="steward", daemon=True).start()

    def close(self) -> None:
        """Take no more messages."""
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if self._places.acquire(blocking=False):
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
            else:
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(IDLE_S)
                reply = self._answer(receive(connection), lambda: _is_gone(connection))
                send(connection, reply)
        except (WireError, OSError) as error:
            _LOG.warning("a message was not answered: %s", type(error).__name__)
        finally:
            self._places.release()


def _bound(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.listen(MOST_AT_ONCE)
    return listening


def _is_gone(connection: socket.socket) -> bool:
    """Return whether the other end has closed; it has nothing more to say, so anything to read is its end."""
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True
