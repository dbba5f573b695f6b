"""What models say to the requests of many exams: written once, kept in a file, gone on with after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from reporting.evaluation.kept import Kept
from reporting.sentences import SentenceRequest, SentenceWriter
from reporting.wording.facts import broken_facts
from reporting.wording.vocabulary import split_codes

Wordings = dict[SentenceRequest, str | None]
Progress = Callable[[int, int], None]
_CHUNK = 16  # as many as the model words at once


def write_all(
    kept: Kept,
    requests: Sequence[SentenceRequest],
    load: Callable[[], SentenceWriter],
    progress: Progress | None = None,
) -> Wordings:
    """Let a writer word requests and keep each answer; what is kept is not asked again.

    Args:
        kept: The answers so far.
        requests: What to word, each once.
        load: Loads the writer, where anything is missing.
        progress: Called with (worded, in all).
    """
    remembering = Remembering(kept, load)
    found: Wordings = {}
    for start in range(0, len(requests), _CHUNK):
        chunk = requests[start : start + _CHUNK]
        found.update(zip(chunk, remembering.write(chunk), strict=True))
        if progress:
            progress(len(found), len(requests))
    return found


class Remembering:
    """Asks a writer only for what is not kept, and loads it only then."""

    name = "remembering"

    def __init__(self, kept: Kept, load: Callable[[], SentenceWriter]) -> None:
        self._kept = kept
        self._load = load
        self._writer: SentenceWriter | None = None

    def write(self, requests: Sequence[SentenceRequest], *, attempt: int = 0) -> list[str | None]:
        """Return one sentence template a request."""
        keys = [json.dumps([one.language, one.codes, one.placeholders, attempt]) for one in requests]
        missing = {key: one for key, one in zip(keys, requests, strict=True) if key not in self._kept.values}
        if missing:
            self._writer = self._writer or self._load()
            said = self._writer.write(list(missing.values()), attempt=attempt)
            self._kept.add(dict(zip(missing, said, strict=True)))
        return [self._kept.values[key] for key in keys]


class Replayed:
    """Gives the wordings that a model gave, and asks ``again`` for those that the check of the codes refuses."""

    name = "replayed"

    def __init__(self, wordings: Mapping[SentenceRequest, str | None], again: SentenceWriter | None = None) -> None:
        self._wordings = wordings
        self._again = again

    def write(self, requests: Sequence[SentenceRequest], *, attempt: int = 0) -> list[str | None]:
        """Return one sentence template a request."""
        if attempt > 0:
            return [None] * len(requests) if self._again is None else self._again.write(requests, attempt=attempt)
        return [self._checked(request) for request in requests]

    def _checked(self, request: SentenceRequest) -> str | None:
        text, values = self._wordings.get(request), split_codes(request.codes)
        if text is None or values is None or broken_facts(values, request.placeholders, text, request.language):
            return None
        return text
