"""Sets the clock of a Python process wrong by FEDPSMA_WRONG_CLOCK_S seconds; Python loads this before anything else.

A library that is preloaded for this (libfaketime) breaks the sleep of Python 3.11, so the clock is shifted where Python
asks for it: what OpenSSL and the file system think of the time stays right.
"""

from __future__ import annotations

import datetime
import os
import time

_S = float(os.environ.get("FEDPSMA_WRONG_CLOCK_S", "0"))
_right = datetime.datetime
_time, _time_ns = time.time, time.time_ns


class _Kind(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _right)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _right)


class _Wrong(_right, metaclass=_Kind):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> _right:
        return _right.now(tz) + datetime.timedelta(seconds=_S)

    @classmethod
    def utcnow(cls) -> _right:
        return _right.utcnow() + datetime.timedelta(seconds=_S)


if _S:
    datetime.datetime = _Wrong  # type: ignore[misc]
    time.time = lambda: _time() + _S
    time.time_ns = lambda: _time_ns() + int(_S * 1e9)
