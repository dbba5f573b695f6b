"""Stopping a run from outside: whoever wants it puts a file into the run folder.

The server's process then ends, and its run with it, which every site sees within seconds and stops training. A message
could not tell them: a SuperNode that is at one message takes no other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.2


@contextmanager
def heeded(request: Path, interrupted: threading.Event) -> Iterator[None]:
    """Set ``interrupted`` as soon as the file ``request`` is there, as long as the block runs."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(POLL_S):
            if request.exists():
                interrupted.set()
                return

    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    try:
        yield
    finally:
        over.set()
        looker.join()
