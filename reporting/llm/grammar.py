"""The grammar of one sentence, and the decoding step that keeps to it.

A sentence consists of exactly the requested placeholders, each once and in order, with letters and punctuation between
them. Digits, sides, number words, names of quantities and phrases that would state another fact cannot be expressed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.hf import from_tokenizer
from numpy.typing import NDArray
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from reporting.sentences import Language
from reporting.wording.facts import LETTERS, forbidden_phrases, forbidden_words

_FREE = rf"[{LETTERS} ,;:()\-]"
# The list of refused phrases makes a larger automaton than the library allows by default; it still costs milliseconds.
_LIMITS = LLParserLimits(initial_lexer_fuel=100_000_000, step_lexer_fuel=50_000_000)


def sentence_grammar(values: Mapping[str, str], placeholders: Sequence[str], language: Language = "en") -> str:
    """Return the Lark grammar of one request: any words, but for those that would state something else.

    Args:
        values: The code values by name.
        placeholders: The names that must occur, in this order; the sentence begins with the first of them.
        language: Whose words are refused.
    """
    refused = _without((*forbidden_phrases(values, language), *forbidden_words(values, language)))
    slots = " MIDDLE ".join(f'"{{{name}}}"' for name in placeholders)
    return f"start: {slots} LAST\nMIDDLE: /{_FREE}+/ & {refused}\nLAST: /{_FREE}*\\./ & {refused}\n"


def style_grammar(orders: Sequence[Sequence[Sequence[str]]]) -> str:
    """Return the Lark grammar that allows exactly the wordings of a style.

    Args:
        orders: As :func:`reporting.wording.compose.alternatives` returns them.

    Example:
        >>> print(style_grammar([[("{site}: low uptake", "{site} shows low uptake"), (".",)]]))
        start: order0
        order0: part0_0 part0_1
        part0_0: "{site}: low uptake" | "{site} shows low uptake"
        part0_1: "."
    """
    rules = [f"start: {' | '.join(f'order{number}' for number in range(len(orders)))}"]
    for number, slots in enumerate(orders):
        names = [f"part{number}_{slot}" for slot in range(len(slots))]
        rules.append(f"order{number}: {' '.join(names)}")
        for name, texts in zip(names, slots, strict=True):
            rules.append(f"{name}: {' | '.join(json.dumps(text, ensure_ascii=False) for text in texts)}")
    return "\n".join(rules)


@cache
def grammar_tokenizer(tokenizer: PreTrainedTokenizerBase) -> LLTokenizer:
    """Return the tokenizer as the grammar library wants it; costs about a second, so it is kept."""
    return from_tokenizer(tokenizer)


def matcher(tokenizer: PreTrainedTokenizerBase, grammar: str) -> LLMatcher:
    """Start a grammar.

    Raises:
        ValueError: The grammar is wrong.
    """
    lark = LLMatcher.grammar_from_lark(grammar)
    started = LLMatcher(grammar_tokenizer(tokenizer), lark, limits=_LIMITS, log_level=0)
    if started.is_error():
        raise ValueError(started.get_error())
    return started


class GrammarProcessor(LogitsProcessor):  # type: ignore[misc]
    """Lets every row of a batch choose only tokens that its own grammar allows.

    Args:
        matchers: One started grammar a row.
        prompt_length: Tokens of the padded prompt.
        end: The token that closes a row.
    """

    def __init__(self, matchers: Sequence[LLMatcher], prompt_length: int, end: int) -> None:
        self.matchers = matchers
        self.prompt_length = prompt_length
        self.end = end

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.Tensor:
        """Mask the scores (row, vocabulary) of the next token."""
        allowed = np.zeros(tuple(scores.shape), dtype=bool)
        for row, running in enumerate(self.matchers):
            if input_ids.shape[1] > self.prompt_length and not running.is_stopped():
                running.consume_token(int(input_ids[row, -1]))
            allowed[row] = self._allowed(running, scores.shape[1])
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), float("-inf"))

    def _allowed(self, running: LLMatcher, size: int) -> NDArray[np.bool_]:
        if running.is_stopped():
            return np.equal(np.arange(size), self.end)
        bits = np.unpackbits(np.frombuffer(running.compute_bitmask(), np.uint8), bitorder="little")
        allowed: NDArray[np.bool_] = np.pad(bits, (0, max(0, size - bits.size)))[:size].astype(bool)
        return allowed


def _without(phrases: Iterable[str]) -> str:
    # Whole words only: "one" is refused, "bone" is not. A single alternation keeps the automaton small.
    escaped = "|".join(phrase.replace("-", r"\-") for phrase in phrases)
    return f"~/(.*[^{LETTERS}])?({escaped})([^{LETTERS}].*)?/i"
