"""Who words the findings while a reader works: templates at once, the language model's sentences as they come.

The language model sees codes only, never an exam, so that its sentences are kept for the whole process and fit every
study. They are written in the background; a report takes what is there and words the rest by rule, and so a draft
never waits for the model and never holds a sentence of another study.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fedpsma.errors import InputError
from reporting.backend import Backend, choose_backend
from reporting.sentences import Language, SentenceRequest

Wanted = Literal["template", "llm"]
_AT_ONCE = 4


@dataclass
class Progress:
    """How far the language model has come; ``problem`` says why it cannot be used."""

    done: int = 0
    whole: int = 0
    problem: str = ""

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is coming."""
        return bool(self.problem) or self.done >= self.whole


class WordingDesk:
    """Sentences of the language model that are already written, and the thread that writes more."""

    def __init__(self) -> None:
        self._written: dict[SentenceRequest, str | None] = {}
        self._lock = threading.Lock()

    def writer(self) -> KeptWriter:
        """Return a writer that never waits."""
        return KeptWriter(self._written)

    def start(self, requests: Sequence[SentenceRequest], language: Language) -> Progress:
        """Write what is missing in the background; the progress that is returned goes on by itself."""
        missing = [one for one in dict.fromkeys(requests) if one not in self._written]
        progress = Progress(whole=len(missing))
        if missing:
            threading.Thread(target=self._write, args=(missing, language, progress), daemon=True).start()
        return progress

    def _write(self, missing: list[SentenceRequest], language: Language, progress: Progress) -> None:
        try:
            writer = _language_model(language).writer
            with self._lock:
                for start in range(0, len(missing), _AT_ONCE):
                    batch = missing[start : start + _AT_ONCE]
                    self._written.update(zip(batch, writer.write(batch), strict=True))
                    progress.done += len(batch)
        except InputError as error:
            progress.problem = str(error)


class KeptWriter:
    """Gives the sentences that are there and remembers which were asked for."""

    name = "language model (English)"

    def __init__(self, written: dict[SentenceRequest, str | None]) -> None:
        self._written = written
        self.asked: list[SentenceRequest] = []

    def write(self, requests: Sequence[SentenceRequest], *, attempt: int = 0) -> list[str | None]:
        """Return what is written, ``None`` for the rest and for every later attempt."""
        if attempt:
            return [None] * len(requests)
        self.asked += requests
        return [self._written.get(one) for one in requests]


@lru_cache(maxsize=2)
def _language_model(language: Language) -> Backend:
    return choose_backend("llm", language)
