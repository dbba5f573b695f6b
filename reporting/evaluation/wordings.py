"""What models say to the requests of many exams: written once, kept in a file, gone on with after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reporting.sentences import SentenceRequest, SentenceWriter
from reporting.wording.facts import broken_facts
from reporting.wording.vocabulary import split_codes

Wordings = dict[SentenceRequest, str | None]
Progress = Callable[[int, int], None]
_CHUNK = 32


def write_all(
    path: Path,
    requests: Sequence[SentenceRequest],
    load: Callable[[], SentenceWriter],
    progress: Progress | None = None,
) -> Wordings:
    """Let a writer word requests and keep each answer as a line of ``path``; what stands there is not asked again.

    Args:
        path: The file of the answers.
        requests: What to word, each once.
        load: Loads the writer, where anything is missing.
        progress: Called with (worded, in all).
    """
    known = _known(path)
    found = {request: known[_key(request)] for request in requests if _key(request) in known}
    missing = [request for request in requests if request not in found]
    writer = load() if missing else None
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        assert writer is not None
        said = writer.write(chunk)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            for request, text in zip(chunk, said, strict=True):
                stream.write(json.dumps([_key(request), text]) + "\n")
        found.update(zip(chunk, said, strict=True))
        if progress:
            progress(len(found), len(requests))
    return found


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


def _key(request: SentenceRequest) -> str:
    return json.dumps([request.language, request.codes, request.placeholders])


def _known(path: Path) -> dict[str, str | None]:
    if not path.is_file():
        return {}
    lines = path.read_text("utf-8").splitlines()
    return dict(json.loads(line) for line in lines if line.endswith("]"))
