"""Files that are there whole or not at all."""

from __future__ import annotations

import fcntl
import fnmatch
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedpsma.errors import InputError

# What is written beside a file or folder until it is whole has a longer name, and 255 bytes are the most.
_LONGEST_NAME = 220
_LOCK_POLL_S = 0.05


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader never sees half of it."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file so that a reader never sees half of it, also after a power cut.

    It gets the mode that the user's umask allows, or where it is ``private``, 0600 from its first moment on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft_beside(path)
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON that a person can read."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: The file is missing, is a folder, is not text, or is not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"is not JSON (line {error.lineno}, column {error.colno}: {error.msg})",
            where=str(path),
            remedy="correct the file there",
        ) from error


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises:
        InputError: The file is missing, is a folder, or is not text.
    """
    require_file(path)
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("is not a text file", where=str(path), remedy="give a UTF-8 text file") from error


def file_state(path: Path) -> tuple[int, int] | None:
    """Return size and time of change (ns) of a file, by which a change is noticed; ``None`` where there is none."""
    if not path.is_file():
        return None
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def require_file(path: Path) -> None:
    """Raise :class:`InputError` unless ``path`` is an existing file."""
    if path.is_dir():
        raise InputError("is a folder, not a file", where=str(path), remedy="name the file inside it")
    if not path.is_file():
        raise InputError("does not exist", where=str(path), remedy="check the path")


def require_folder_or_nothing(path: Path) -> None:
    """Raise :class:`InputError` where a folder to write is a file, or cannot be written."""
    if path.exists() and not path.is_dir():
        raise InputError("is a file, not a folder", where=str(path), remedy="name a folder")
    require_writable(path)


def require_own_folder(path: Path, mark: str, ours: Collection[str] = ()) -> None:
    """Refuse to replace a folder that is not an earlier one of ours, or that holds more than ours.

    So that who names the wrong folder does not lose what is in it.

    Args:
        path: The folder; a new and an empty one are free.
        mark: Name or pattern of a file that an earlier one holds.
        ours: Names and patterns of whatever else it may hold.

    Raises:
        InputError: It is a file, or holds something that would be deleted.
    """
    require_writable(path)
    require_folder_or_nothing(path)
    names = sorted(one.name for one in path.iterdir()) if path.is_dir() else []
    if names and not fnmatch.filter(names, mark):
        raise InputError(f"holds something else, such as {names[0]!r}", where=str(path), remedy="name a new folder")
    for name in names:
        if not any(fnmatch.fnmatch(name, pattern) for pattern in (mark, *ours)):
            remedy = "move it away, or name a new folder"
            raise InputError(f"holds {name!r}, which would be deleted", where=str(path), remedy=remedy)


def require_writable(path: Path) -> None:
    """Raise :class:`InputError` where a file or folder cannot be written, before any work is done for it."""
    whole = path.absolute()
    if not whole.name:
        raise InputError("has no name", where=str(path), remedy="name a new folder")
    if len(os.fsencode(whole.name)) > _LONGEST_NAME:
        raise InputError("is too long a name", where=str(path), remedy="give a shorter one")
    there = next(one for one in (whole, *whole.parents) if one.exists())
    if there != whole and not there.is_dir():
        raise InputError("is a file, not a folder", where=str(there), remedy="name another place")
    if not os.access(there if there.is_dir() else there.parent, os.W_OK | os.X_OK):
        raise InputError("cannot be written", where=str(there), remedy="name another place, or ask for the right to")


@contextmanager
def held_alone(folder: Path, *, within_s: float = 0.0) -> Iterator[None]:
    """Hold a folder while the block runs; it is free again however the process ends.

    Args:
        folder: The folder.
        within_s: How long to wait for another process to let go of it.

    Raises:
        InputError: Another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    deadline = time.monotonic() + within_s
    while not _locked(handle, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            os.close(handle)
            raise InputError("is in use by another process", where=str(folder), remedy="wait for it to end")
        time.sleep(_LOCK_POLL_S)
    try:
        yield
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool:
    """Return whether another process holds a folder alone."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        return not _locked(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


def _locked(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def finished_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes ``path`` when the block ends well, and vanishes when it does not.

    An existing ``path`` is replaced only then, so a failure loses nothing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft_beside(path)
    draft.mkdir()
    try:
        yield draft
        _replace_folder(draft, path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _draft_beside(path: Path) -> Path:
    """Return a free name beside ``path``; unlike what ``tempfile`` makes, it gets the mode of the user's umask."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _replace_folder(draft: Path, path: Path) -> None:
    if not path.exists():
        draft.rename(path)
        return
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    path.rename(old / path.name)
    try:
        draft.rename(path)
    except BaseException:
        (old / path.name).rename(path)
        raise
    finally:
        shutil.rmtree(old)
