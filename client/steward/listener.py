"""The socket of the steward: for its owner alone, or for the group of the account that runs Flower as well.

One thread answers a message.
"""

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
from fedpsma.errors import InputError

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
        group: Number of the group that may use it beside its owner; ``None`` lets nobody else.

    Raises:
        InputError: It cannot be made there, or not for this group.
    """

    def __init__(self, path: Path, answer: Answer, group: int | None = None) -> None:
        self._path = path
        self._answer = answer
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._socket = _bound(path, group)
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


def _bound(path: Path, group: int | None) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listening.bind(str(path))
        if group is not None:
            os.chown(path, -1, group)
            path.chmod(0o660)
    except OSError as error:
        remedy = "let this account write there, and put it into that group"
        raise InputError(f"cannot be listened at ({error.strerror})", where=str(path), remedy=remedy) from error
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
