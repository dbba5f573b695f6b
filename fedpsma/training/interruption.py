"""A way to end training from outside: it looks up between two patients."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_STOP: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


class TrainingStoppedError(Exception):
    """Training ended because somebody asked for it; what was trained is lost."""


@contextmanager
def stoppable(stop: threading.Event) -> Iterator[None]:
    """Let the training in this block, in this thread, end soon after ``stop`` is set."""
    token = _STOP.set(stop)
    try:
        yield
    finally:
        _STOP.reset(token)


def raise_if_stopped() -> None:
    """Raise where the training was asked to stop.

    Raises:
        TrainingStoppedError: It was.
    """
    stop = _STOP.get()
    if stop is not None and stop.is_set():
        raise TrainingStoppedError
