"""Wordings that a model has written before on this machine, so that it need not even be loaded to write them again."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fedpsma.errors import InputError
from reporting.sentences import SentenceRequest, SentenceWriter

CACHE_FILE = "wordings.sqlite"
_TABLE = "create table if not exists wording (key text primary key, template text)"


class RememberingWriter:
    """Looks a request up before it asks a writer, and loads that writer only when it is needed.

    What is kept are codes and sentence templates with placeholders: nothing of a patient.

    Args:
        folder: The folder of the cache.
        identity: Everything that decides what the writer writes; another identity never reads the wordings of this one.
        name: The name of the writer.
        load: Loads the writer.
    """

    def __init__(self, folder: Path, identity: Sequence[str], name: str, load: Callable[[], SentenceWriter]) -> None:
        self.name = name
        self._path = folder / CACHE_FILE
        self._identity = identity
        self._load = load
        self._writer: SentenceWriter | None = None

    def write(self, requests: Sequence[SentenceRequest], *, attempt: int = 0) -> list[str | None]:
        """Return one sentence template a request, ``None`` where the writer has nothing usable.

        Raises:
            InputError: The cache is damaged, or the writer cannot be loaded.
        """
        keys = [self._key(request, attempt) for request in requests]
        known = self._known(keys)
        missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in known}
        if missing:
            self._writer = self._writer or self._load()
            written = self._writer.write(list(missing.values()), attempt=attempt)
            known.update(zip(missing, written, strict=True))
            self._keep({key: known[key] for key in missing})
        return [known[key] for key in keys]

    def _key(self, request: SentenceRequest, attempt: int) -> str:
        said = [*self._identity, request.language, list(request.codes), list(request.placeholders), attempt]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def _known(self, keys: Sequence[str]) -> dict[str, str | None]:
        if not self._path.is_file():
            return {}
        with self._opened() as base:
            rows = [base.execute("select key, template from wording where key = ?", (key,)).fetchone() for key in keys]
        return {row[0]: row[1] for row in rows if row is not None}

    def _keep(self, written: dict[str, str | None]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened() as base:
            base.executemany("insert or replace into wording values (?, ?)", list(written.items()))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            base = sqlite3.connect(self._path, timeout=30)
            try:
                with base:
                    base.execute(_TABLE)
                    yield base
            finally:
                base.close()
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"cannot be read as the cache of wordings ({error})", where=str(self._path), remedy="delete the file"
            ) from error
