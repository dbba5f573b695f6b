"""The language model as a sentence writer: codes in, one template a request out, or nothing.

Without a style it words English freely, within what the grammar does not refuse. With a style, and always in German
(which the embedded model has hardly seen), it chooses among the wordings of the style and can say nothing else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from fedpsma.errors import InputError
from fedpsma.io.files import require_file
from reporting.llm.grammar import GrammarProcessor, matcher, sentence_grammar, style_grammar
from reporting.llm.loading import ADAPTER_WEIGHTS, load_base
from reporting.llm.prompts import Chat, messages, taught_messages
from reporting.llm.store import require_model, shipped_adapter
from reporting.sentences import Language, SentenceRequest
from reporting.wording.compose import alternatives
from reporting.wording.facts import broken_facts
from reporting.wording.phrasing import Phrasing, style
from reporting.wording.vocabulary import placeholder_order, split_codes

_Key = tuple[tuple[str, ...], tuple[str, ...], Language, int]
_TEMPERATURE = 0.8


@dataclass(frozen=True)
class WriterConfig:
    """How sentences are written.

    ``max_tokens`` caps a sentence and ``batch`` is how many are written at once; ``constrained`` and ``checked`` are
    switched off only to measure what the model would do on its own. ``phrasing`` is the style to choose wordings from;
    ``None`` words English freely. A model that is not ``tuned`` to the task is told how to do it.
    """

    max_tokens: int = 96
    batch: int = 16
    constrained: bool = True
    checked: bool = True
    phrasing: Phrasing | None = None
    tuned: bool = True


class LanguageModelWriter:
    """Words requests under a grammar, checks each wording, and remembers it.

    The first attempt decodes greedily, a later one draws with a seed of its own, so the same request and attempt always
    get the same sentence. Requests with codes or placeholders outside the vocabulary of ``data/codes.json``, and
    sentences not finished within the cap, get ``None``.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        config: WriterConfig | None = None,
    ) -> None:
        self.name = "language model"
        self._config = config or WriterConfig()
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._written: dict[_Key, str | None] = {}

    @classmethod
    def load(
        cls, model_folder: Path | None = None, adapter_folder: Path | None = None, *, config: WriterConfig | None = None
    ) -> Self:
        """Load a transformers folder, with an adapter merged into it where the configuration says it is tuned.

        A GPU is used where there is one, in bfloat16.

        Args:
            model_folder: The model; by default the fetched one.
            adapter_folder: The adapter of a tuned model; by default the one that comes with fedpsma.
            config: How to write.

        Raises:
            InputError: There is no such model, it cannot be read, or packages are missing.
        """
        config = config or WriterConfig()
        model, tokenizer = load_base(model_folder or require_model())
        if config.tuned:
            model = load_adapter(model, adapter_folder or shipped_adapter())
        return cls(model, tokenizer, config=config)

    def write(self, requests: Sequence[SentenceRequest], *, attempt: int = 0) -> list[str | None]:
        """Return one sentence template a request, ``None`` where there is nothing usable."""
        wanted = {_key(request, attempt): request for request in requests}
        missing = {key: request for key, request in wanted.items() if key not in self._written}
        self._written.update(dict.fromkeys(missing))
        tasks = [request for request in missing.values() if can_word(request)]
        # Drawn sentences are written alone, because what is drawn for one row of a batch depends on the others.
        batch = self._config.batch if attempt == 0 else 1
        with _free_threads():
            for start in range(0, len(tasks), batch):
                self._write_batch(tasks[start : start + batch], attempt)
        return [self._written[_key(request, attempt)] for request in requests]

    def _write_batch(self, requests: Sequence[SentenceRequest], attempt: int) -> None:
        for request, text in zip(requests, self._generate(requests, attempt), strict=True):
            usable = text is not None and not (self._is_checked(request) and _is_broken(request, text))
            self._written[_key(request, attempt)] = text if usable else None

    def _is_checked(self, request: SentenceRequest) -> bool:
        # The wordings of a style were checked one by one when it was read.
        return self._config.checked and not (self._config.constrained and self._style(request))

    def _style(self, request: SentenceRequest) -> Phrasing | None:
        if self._config.phrasing is None and request.language != "en":
            return style("prose", request.language)
        return self._config.phrasing

    @torch.inference_mode()
    def _generate(self, requests: Sequence[SentenceRequest], attempt: int) -> list[str | None]:
        prompts = self._tokenizer.apply_chat_template(
            [self._prompt(request) for request in requests],
            add_generation_prompt=True,
            padding=True,
            return_tensors="pt",
            return_dict=True,
            tokenizer_kwargs={"padding_side": "left"},
        ).to(getattr(self._model, "device", "cpu"))
        length = prompts["input_ids"].shape[1]
        with _drawing(requests, attempt) as drawing:
            written = self._model.generate(
                **prompts,
                **drawing,
                max_new_tokens=self._config.max_tokens,
                pad_token_id=self._tokenizer.pad_token_id,
                eos_token_id=self._tokenizer.eos_token_id,
                logits_processor=self._limits(requests, length),
            )
        return [self._finished(row[length:].tolist()) for row in written]

    def _prompt(self, request: SentenceRequest) -> Chat:
        if self._config.tuned:
            return messages(request.codes, request.placeholders, request.language)
        return taught_messages(request.codes, request.placeholders, request.language, phrasing=self._style(request))

    def _limits(self, requests: Sequence[SentenceRequest], prompt_length: int) -> LogitsProcessorList:
        if not self._config.constrained:
            return LogitsProcessorList()
        started = [matcher(self._tokenizer, self._grammar(request)) for request in requests]
        return LogitsProcessorList([GrammarProcessor(started, prompt_length, int(self._tokenizer.eos_token_id))])

    def _grammar(self, request: SentenceRequest) -> str:
        values, phrasing = split_codes(request.codes) or {}, self._style(request)
        if phrasing is None:
            return sentence_grammar(values, request.placeholders, request.language)
        return style_grammar(alternatives(phrasing, values, request.placeholders))

    def _finished(self, tokens: list[int]) -> str | None:
        end = self._tokenizer.eos_token_id
        if end not in tokens:
            return None
        return str(self._tokenizer.decode(tokens[: tokens.index(end)], skip_special_tokens=True)).strip()


def load_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Merge the adapter of a folder into a model.

    Raises:
        InputError: The adapter cannot be read, or belongs to another model.
    """
    require_file(folder / "adapter_config.json")
    require_file(folder / ADAPTER_WEIGHTS)
    try:
        return PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except (ValueError, RuntimeError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(
            "cannot be read, or belongs to another model", where=str(folder), remedy="give the adapter of this model"
        ) from error


def can_word(request: SentenceRequest) -> bool:
    """Say whether a request lies within the vocabulary: known codes, and known placeholders in their order."""
    known = tuple(name for name in placeholder_order() if name in request.placeholders)
    return known == request.placeholders and split_codes(request.codes) is not None


def _is_broken(request: SentenceRequest, text: str) -> bool:
    values = split_codes(request.codes) or {}
    return bool(broken_facts(values, request.placeholders, text, request.language))


def _key(request: SentenceRequest, attempt: int) -> _Key:
    return request.codes, request.placeholders, request.language, attempt


@contextmanager
def _drawing(requests: Sequence[SentenceRequest], attempt: int) -> Iterator[dict[str, Any]]:
    """Hand out how to decode: greedily at first, drawn with the seed of the requests and the attempt after that."""
    if attempt == 0:
        yield {"do_sample": False}
        return
    named = repr([_key(request, attempt) for request in requests])
    with torch.random.fork_rng():
        torch.manual_seed(int.from_bytes(hashlib.sha256(named.encode()).digest()[:4], "big"))
        yield {"do_sample": True, "temperature": _TEMPERATURE}


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
