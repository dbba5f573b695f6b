"""Append-only logs of JSON lines in which every line carries the SHA-256 of the line before it.

A line that is changed, taken out or put in breaks the chain behind it. Lines missing at the end do not: who wants to
notice that keeps the :attr:`Links.head` elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedpsma.errors import InputError
from fedpsma.io.files import require_file

FIRST = "0" * 64
"""What the first line names as the one before it."""
_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Links:
    """A chain that holds: its number of lines and the SHA-256 of the last."""

    lines: int
    head: str


def append_line(path: Path, record: Mapping[str, Any]) -> bytes:
    """Append a record with the hash of the line before it; it is on the disk when the call returns.

    Returns:
        The line, without its newline.
    """
    last, _ = _last_line(path)
    line = json.dumps({**record, "previous": line_hash(last) if last else FIRST}).encode("ascii")
    write_line(path, line)
    return line


def write_line(path: Path, line: bytes) -> None:
    """Append a line as it is; it is on the disk, and so is the name of a new file, when the call returns.

    What a crash left of a line that was never acknowledged is taken off first.
    """
    is_new, (_, whole) = not path.exists(), _last_line(path)
    with open(path, "ab") as stream:
        stream.truncate(whole)
        try:
            stream.write(line + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            # On a full disk half a line may have arrived.
            os.truncate(path, whole)
            raise
    if is_new:
        _sync_folder(path.parent)


def read_lines(path: Path, offset: int = 0) -> tuple[list[bytes], int]:
    """Return the whole lines from a byte offset on, and the offset to go on from."""
    if not path.exists():
        return [], offset
    with open(path, "rb") as stream:
        stream.seek(offset)
        content = stream.read()
    whole = content[: content.rfind(b"\n") + 1]
    return whole.splitlines(), offset + len(whole)


def verify_chain(path: Path) -> Links:
    """Return the chain of a log if every line follows the line before it.

    Raises:
        InputError: One does not, or is no JSON object, or the last one was cut off.
    """
    require_file(path)
    if not path.read_bytes().endswith(b"\n"):
        raise _broken(path, len(read_lines(path)[0]) + 1, "was cut off")
    return _followed(path, read_lines(path)[0])


def line_hash(line: bytes) -> str:
    """Return the SHA-256 by which the next line names this one."""
    return hashlib.sha256(line).hexdigest()


def _followed(path: Path, lines: Iterable[bytes]) -> Links:
    previous, number = FIRST, 0
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise _broken(path, number, "is no JSON") from error
        if not isinstance(record, dict) or record.get("previous") != previous:
            raise _broken(path, number, "does not follow the line before it")
        previous = line_hash(line)
    return Links(number, previous)


def _broken(path: Path, number: int, what: str) -> InputError:
    return InputError(
        f"line {number} {what}: the log was changed or damaged",
        where=str(path),
        remedy="compare it with a copy that somebody else kept",
    )


def _last_line(path: Path) -> tuple[bytes, int]:
    """Return the last whole line, empty where there is none, and where it ends; only the end of the file is read."""
    if not path.exists():
        return b"", 0
    with open(path, "rb") as stream:
        start = stream.seek(0, os.SEEK_END)
        tail = b""
        while start and tail.count(b"\n") < 2:
            step = min(start, _BLOCK_BYTES)
            start = stream.seek(start - step)
            tail = stream.read(step) + tail
    whole = tail[: tail.rfind(b"\n") + 1]
    return whole[:-1].rpartition(b"\n")[2], start + len(whole)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
