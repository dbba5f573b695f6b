"""How well the model words code combinations that it never saw in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reporting.llm.corpus import Example
from reporting.llm.writer import LanguageModelWriter
from reporting.sentences import SentenceRequest
from reporting.wording.facts import broken_facts, misstated
from reporting.wording.vocabulary import split_codes


@dataclass(frozen=True)
class Quality:
    """Counts over ``sentences`` wordings before any fallback.

    ``finished`` ended within the cap, ``placeholders`` hold exactly the placeholders in order, ``certainty`` say the
    class and no other, ``usable`` pass every check of :func:`reporting.wording.facts.broken_facts`; the rest would be
    replaced by template sentences.
    """

    sentences: int
    finished: int
    placeholders: int
    certainty: int
    usable: int

    @property
    def fallback_rate(self) -> float:
        """Share of sentences (0 to 1) that the template has to replace."""
        return 1 - self.usable / self.sentences


def as_request(example: Example) -> SentenceRequest:
    """Return the request that an example answers."""
    return SentenceRequest(example.codes, example.placeholders, fallback=example.answer, language=example.language)


def measure(writer: LanguageModelWriter, examples: Sequence[Example]) -> Quality:
    """Let a writer word the examples and judge what it wrote; the writer should be an unchecked one."""
    written = writer.write([as_request(example) for example in examples])
    judged = [_judge(example, text) for example, text in zip(examples, written, strict=True) if text is not None]
    placeholders, certainty, usable = (sum(column) for column in zip(*judged, strict=True)) if judged else (0, 0, 0)
    return Quality(len(examples), len(judged), placeholders, certainty, usable)


def _judge(example: Example, text: str) -> tuple[bool, bool, bool]:
    values = split_codes(example.codes) or {}
    problems = broken_facts(values, example.placeholders, text, example.language)
    return "placeholders" not in problems, not misstated("class", values, text, example.language), not problems
