"""When an answer leaves: after a whole number of slots, for how long a round takes tells how many patients were drawn.

The draw is secret: the accounting of Poisson sampling counts on nobody knowing it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fedpsma.training.interruption import raise_if_stopped

_LOOK_UP_S = 0.2


@contextmanager
def whole_slots(slot_s: float | None) -> Iterator[None]:
    """Let the block take a whole number of slots of so many seconds, also where it fails; ``None`` holds nothing.

    Raises:
        TrainingStoppedError: Somebody asked to stop meanwhile.
    """
    began = time.monotonic()
    try:
        yield
    except Exception:
        _wait_out(slot_s, began)
        raise
    _wait_out(slot_s, began)


def _wait_out(slot_s: float | None, began: float) -> None:
    if slot_s is None:
        return
    end = time.monotonic() + (began - time.monotonic()) % slot_s
    while (rest := end - time.monotonic()) > 0:
        raise_if_stopped()
        time.sleep(min(rest, _LOOK_UP_S))
