"""Looks, while a round trains, whether there is still somebody to train for, and ends it where there is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

Check = Callable[[], bool]


@dataclass
class Stops:
    """The round that trains now, and a way to end it."""

    _current: tuple[str, threading.Event] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self, run: str) -> Iterator[threading.Event]:
        """Give the event that ends the round of a run in this block."""
        stop = threading.Event()
        with self._lock:
            self._current = (run, stop)
        try:
            yield stop
        finally:
            with self._lock:
                self._current = None

    def stop(self) -> None:
        """End the round that runs now."""
        with self._lock:
            if self._current is not None:
                self._current[1].set()

    @property
    def run(self) -> str | None:
        """The run whose round runs now."""
        with self._lock:
            return None if self._current is None else self._current[0]


@contextmanager
def watched(stop: threading.Event, checks: Sequence[Check], interval_s: float) -> Iterator[None]:
    """Set ``stop`` as soon as one of the checks, made every so many seconds, holds while the block runs."""
    done = threading.Event()

    def look(check: Check) -> None:
        while not done.wait(interval_s):
            if check():
                stop.set()
                return

    for check in checks:
        # A daemon, because a check that waits for the network must not hold up the answer.
        threading.Thread(target=look, args=(check,), daemon=True).start()
    try:
        yield
    finally:
        done.set()
