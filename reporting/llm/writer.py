"""The language model as a sentence writer: codes in, one template a request out, or nothing.

It writes English only: the embedded model has hardly seen German, so a German request gets ``None`` and the report its
template sentence.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from peft import PeftModel
from transformers import LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from reporting.llm.facts import broken_facts
from reporting.llm.grammar import GrammarProcessor, matcher, sentence_grammar
from reporting.llm.loading import ADAPTER_WEIGHTS, load_base
from reporting.llm.store import require_model, shipped_adapter
from reporting.llm.wording import messages, placeholder_order, split_codes
from reporting.sentences import Language, SentenceRequest

_Key = tuple[tuple[str, ...], tuple[str, ...], Language]


@dataclass(frozen=True)
class WriterConfig:
    """How sentences are written.

    ``max_tokens`` caps a sentence and ``batch`` is how many are written at once; ``constrained`` and ``checked`` are
    switched off only to measure what the model would do on its own.
    """

    max_tokens: int = 96
    batch: int = 16
    constrained: bool = True
    checked: bool = True


class LanguageModelWriter:
    """Words requests by greedy decoding under a grammar, checks each wording, and remembers it.

    ``model_name`` and ``adapter_name`` go into the provenance of a draft. The same request always gets the same
    sentence. Requests with codes or placeholders outside the vocabulary of ``data/codes.json``, in another language
    than English, or not finished within the cap get ``None``.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        model_name: str,
        adapter_name: str | None = None,
        config: WriterConfig | None = None,
    ) -> None:
        self.name = "language model (English)"
        self.model_name = model_name
        self.adapter_name = adapter_name
        self._config = config or WriterConfig()
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._written: dict[_Key, str | None] = {}

    @classmethod
    def load(
        cls, model_folder: Path | None = None, adapter_folder: Path | None = None, *, config: WriterConfig | None = None
    ) -> Self:
        """Load a transformers folder and merge an adapter into it.

        Args:
            model_folder: The model; by default the fetched one.
            adapter_folder: The adapter; by default the one that comes with fedpsma.
            config: How to write.

        Raises:
            InputError: The model has not been fetched, or packages are missing.
        """
        model_folder = model_folder or require_model()
        adapter_folder = adapter_folder or shipped_adapter()
        base, tokenizer = load_base(model_folder)
        merged = PeftModel.from_pretrained(base, str(adapter_folder)).merge_and_unload()
        digest = hashlib.sha256((adapter_folder / ADAPTER_WEIGHTS).read_bytes()).hexdigest()
        return cls(merged, tokenizer, model_name=model_folder.name, adapter_name=f"sha256:{digest[:16]}", config=config)

    def write(self, requests: Sequence[SentenceRequest]) -> list[str | None]:
        """Return one sentence template a request, ``None`` where there is nothing usable."""
        wanted = {_key(request): request for request in requests if _key(request) not in self._written}
        self._written.update(dict.fromkeys(wanted))
        tasks = [request for request in wanted.values() if can_word(request)]
        with _free_threads():
            for start in range(0, len(tasks), self._config.batch):
                self._write_batch(tasks[start : start + self._config.batch])
        return [self._written[_key(request)] for request in requests]

    def _write_batch(self, requests: Sequence[SentenceRequest]) -> None:
        for request, text in zip(requests, self._generate(requests), strict=True):
            values = split_codes(request.codes) or {}
            usable = text is not None and not (
                self._config.checked and broken_facts(values, request.placeholders, text)
            )
            self._written[_key(request)] = text if usable else None

    @torch.inference_mode()
    def _generate(self, requests: Sequence[SentenceRequest]) -> list[str | None]:
        prompts = self._tokenizer.apply_chat_template(
            [messages(request.codes, request.placeholders) for request in requests],
            add_generation_prompt=True,
            padding=True,
            return_tensors="pt",
            return_dict=True,
            tokenizer_kwargs={"padding_side": "left"},
        )
        length = prompts["input_ids"].shape[1]
        written = self._model.generate(
            **prompts,
            do_sample=False,
            max_new_tokens=self._config.max_tokens,
            pad_token_id=self._tokenizer.pad_token_id,
            eos_token_id=self._tokenizer.eos_token_id,
            logits_processor=self._limits(requests, length),
        )
        return [self._finished(row[length:].tolist()) for row in written]

    def _limits(self, requests: Sequence[SentenceRequest], prompt_length: int) -> LogitsProcessorList:
        if not self._config.constrained:
            return LogitsProcessorList()
        grammars = [sentence_grammar(split_codes(request.codes) or {}, request.placeholders) for request in requests]
        started = [matcher(self._tokenizer, grammar) for grammar in grammars]
        return LogitsProcessorList([GrammarProcessor(started, prompt_length, int(self._tokenizer.eos_token_id))])

    def _finished(self, tokens: list[int]) -> str | None:
        end = self._tokenizer.eos_token_id
        if end not in tokens:
            return None
        return str(self._tokenizer.decode(tokens[: tokens.index(end)], skip_special_tokens=True)).strip()


def can_word(request: SentenceRequest) -> bool:
    """Say whether a request lies within what the model was tuned on: English, known codes and placeholders."""
    known = tuple(name for name in placeholder_order() if name in request.placeholders)
    return request.language == "en" and known == request.placeholders and split_codes(request.codes) is not None


def _key(request: SentenceRequest) -> _Key:
    return request.codes, request.placeholders, request.language


@contextmanager
def _free_threads() -> Iterator[None]:
    # More threads than free cores make torch several times slower, because its workers wait for each other.
    before = torch.get_num_threads()
    torch.set_num_threads(free_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def free_threads() -> int:
    """Return how many threads to use: the idle cores, at least one, at most ``OMP_NUM_THREADS`` where that is set."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    cores = os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(int(asked) if asked.isdigit() else cores, round(cores - busy)))
