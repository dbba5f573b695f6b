"""One evaluation under way: what models say to its exams and how its drafts score, each kept as soon as it is there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path

from reporting.evaluation.kept import Kept
from reporting.evaluation.report_scores import Scores
from reporting.evaluation.run import EvaluationCase, distinct_requests, gated, seen, unseen
from reporting.evaluation.wordings import Remembering, Wordings, write_all
from reporting.llm.store import ModelChoice
from reporting.llm.writer import LanguageModelWriter, WriterConfig
from reporting.sentences import Language, SentenceWriter
from reporting.wording.vocabulary import vocabulary_fingerprint

Progress = Callable[[str, int, int], None]
_RULED = WriterConfig(checked=False)
_FREE = replace(_RULED, constrained=False)
CONFIGS = {
    "tuned-grammar": _RULED,
    "tuned-free": _FREE,
    "base-grammar": replace(_RULED, tuned=False),
    "base-free": replace(_FREE, tuned=False),
}


@dataclass(frozen=True)
class Study:
    """Where an evaluation keeps what it has, in which language, whom it tells how far it is, and which model it judges.

    What is kept belongs to this model and adapter, and drafts also to the code that made them: nothing else is read.
    """

    out: Path
    language: Language
    progress: Progress
    choice: ModelChoice

    def said(self, name: str, cases: Iterable[EvaluationCase]) -> Wordings:
        """Return what the model says to all requests of exams, in one of the ways of ``CONFIGS``, unchecked."""
        return write_all(
            self._kept(name),
            distinct_requests(cases),
            lambda: self._writer(CONFIGS[name]),
            lambda done, total: self.progress(name, done, total),
        )

    def second_tries(self) -> SentenceWriter:
        """Return the model for what was refused, as a draft asks it."""
        return Remembering(self._kept("second-tries"), lambda: self._writer(WriterConfig()))

    def drafted(self, name: str, cases: Sequence[EvaluationCase], writer: SentenceWriter) -> list[dict[str, Scores]]:
        """Return the scores of each exam's draft after the gate: of all codes, of seen ones, and of unseen ones."""
        kept = self._kept(name, _code_fingerprint())
        for number, case in enumerate(cases):
            if str(number) not in kept.values:
                draft = gated(case, writer)
                found = {"all": draft.scores(), "seen": draft.scores(seen), "unseen": draft.scores(unseen)}
                kept.add({str(number): found})
            self.progress(name, number + 1, len(cases))
        return [_as_scores(kept.values[str(number)]) for number in range(len(cases))]

    def _kept(self, name: str, more: str = "") -> Kept:
        known = (self.choice.model_state(), self.choice.adapter_hash, vocabulary_fingerprint(self.language), more)
        identity = hashlib.sha256(repr(known).encode()).hexdigest()[:16]
        return Kept(self.out / f"{name}.{self.language}.jsonl", identity)

    def _writer(self, config: WriterConfig) -> LanguageModelWriter:
        return LanguageModelWriter.load(self.choice.model, self.choice.adapter, config=config)


def _as_scores(kept: dict[str, dict[str, list[int]]]) -> dict[str, Scores]:
    return {choice: {name: (pair[0], pair[1]) for name, pair in row.items()} for choice, row in kept.items()}


@cache
def _code_fingerprint() -> str:
    """Return a hash of the programs and data that make and judge a draft."""
    digest = hashlib.sha256()
    for package in ("reporting", "fedpsma"):
        root = Path(str(resources.files(package)))
        for path in sorted(path for kind in ("*.py", "*.json") for path in root.rglob(kind)):
            digest.update(path.read_bytes())
    return digest.hexdigest()
