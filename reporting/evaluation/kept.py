"""Answers that cost time, kept line by line in a file, so that a stop at any moment loses only what was under way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Kept:
    """Values by key in a file of JSON lines; lines of another identity are left alone and never read.

    Args:
        path: The file.
        identity: Everything that decides the values: the model, its adapter, the vocabulary.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "kept.jsonl"
        >>> Kept(place, "one").add({"a": 1})
        >>> Kept(place, "one").values, Kept(place, "two").values
        ({'a': 1}, {})
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self._identity = identity
        self.values: dict[str, Any] = {}
        for line in _whole_lines(path):
            whose, key, value = json.loads(line)
            if whose == identity:
                self.values[key] = value

    def add(self, values: Mapping[str, Any]) -> None:
        """Keep values, in the file at once."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps([self._identity, key, value]) + "\n" for key, value in values.items())
        self.values.update(values)


def _whole_lines(path: Path) -> list[str]:
    """Return the lines that were written to their end, and cut off one that was not."""
    if not path.is_file():
        return []
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        with path.open("r+b") as stream:
            stream.truncate(end)
    return content[:end].decode("utf-8").splitlines()
