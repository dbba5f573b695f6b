"""Compressed pixels, decoded in a process of their own: a damaged stream may crash the libraries that decode it.

JPEG, JPEG-LS and JPEG 2000 decoders are native code; on a corrupted stream they abort or write beyond their memory,
which no exception handler survives.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_CHILD = Path(__file__).with_name("decoder_child.py")
# A slice takes milliseconds; a decoder that was led astray by a damaged stream may never come back.
LONGEST_S = 60.0


class DecoderError(Exception):
    """A stream could not be decoded; the message says why."""


class _Decoder:
    """One child process, started when it is first needed and again after a crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def decode(self, path: Path) -> NDArray[Any]:
        with self._lock:
            process = self._running()
            stdin, stdout = process.stdin, process.stdout
            if stdin is None or stdout is None:
                raise AssertionError("the child process was started without pipes")
            watch = threading.Timer(LONGEST_S, process.kill)
            watch.start()
            try:
                stdin.write(json.dumps(str(path.absolute())).encode() + b"\n")
                stdin.flush()
                return _reply(stdout)
            except (OSError, EOFError) as error:
                process.kill()
                process.wait()
                self._process = None
                raise DecoderError("its stream crashes the decoder") from error
            finally:
                watch.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            # It imports nothing of ours, and its folder must not shadow other modules (-P).
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process


def decode(path: Path) -> NDArray[Any]:
    """Return the stored values of a compressed image, before any rescale, as pydicom shapes them.

    Raises:
        DecoderError: The stream is damaged, or no decoder knows its transfer syntax.
    """
    return _decoder.decode(path)


def _reply(stdout: IO[bytes]) -> NDArray[Any]:
    line = stdout.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    head = json.loads(line)
    if "error" in head:
        raise DecoderError(head["error"])
    content = stdout.read(head["bytes"])
    if len(content) != head["bytes"]:
        raise EOFError
    return np.frombuffer(content, np.dtype(head["dtype"])).reshape(head["shape"])


_decoder = _Decoder()
