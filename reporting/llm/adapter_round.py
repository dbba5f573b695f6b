"""One round of an adapter at a site, and its loss on sentences.

The patient is the unit of privacy: all his sentences together give one gradient, which is clipped as a whole, and
patients are drawn, never sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from fedpsma.model.checkpoint import Weights
from fedpsma.model.config import model_config_of, require_adapter
from fedpsma.training.accounting import cost
from fedpsma.training.gradients.engine import Block
from fedpsma.training.interruption import raise_if_stopped
from fedpsma.training.local_rules import with_bound
from fedpsma.training.private_round import PrivateRound, limited_threads, training_device
from fedpsma.training.randomness import generator_of, randomness_of
from fedpsma.training.trainer import SpentOtherwiseError, TrainingTask
from reporting.llm.adapter import LoadedAdapter, load_adapter
from reporting.llm.corpus import Example
from reporting.llm.lora import IGNORED, answer_loss, encode
from reporting.llm.pairs import SitePairs


def train_round(task: TrainingTask[SitePairs]) -> Weights:
    """Train one round on a site's pairs and return the adapter's weights.

    The same weights, pairs, plan (with a seed), site and round give the same result on one machine.

    Raises:
        InputError: The weights are no adapter, do not fit the language model here, or that model is not here.
        SpentOtherwiseError: The plan costs these patients something else than was charged.
        TrainingDivergedError: A loss or gradient is not finite.
        TrainingStoppedError: Somebody asked it to stop.
    """
    plan, pairs = task.plan, task.dataset
    config = require_adapter(model_config_of(task.network, where="network"), where="the order")
    if cost(pairs, plan) != task.charge:
        raise SpentOtherwiseError
    with limited_threads(plan.threads):
        loaded = load_adapter(config, task.weights, training_device(plan))
        generator = generator_of(plan.seed, task.site, task.round)
        steps = PrivateRound(
            plan=plan,
            parameters=loaded.trained(plan.scope),
            patients=len(pairs.patients),
            charge=task.charge,
            randomness=randomness_of(plan.seed, generator),
            number=task.round,
            correction=task.correction,
        )
        everyone = list(pairs.by_patient().values())
        shown = partial(_shown, count=plan.patches_per_patient, generator=generator)
        clip_norm = steps.run(
            lambda drawn: _gradients(loaded, steps.parameters, [shown(everyone[index]) for index in drawn])
        )
    return with_bound(loaded.weights, plan, clip_norm)


def sentence_losses(loaded: LoadedAdapter, examples: Iterable[Example]) -> Iterator[tuple[float, int]]:
    """Yield the summed loss of every sentence, in nats, and the number of its tokens."""
    for example in examples:
        row = _encoded(loaded, example)
        tokens = sum(label != IGNORED for label in row["labels"])
        with torch.inference_mode():
            loss = float(answer_loss(loaded.model, [row], _pad(loaded)))
        yield loss * tokens, tokens


def _shown(pairs: Sequence[Example], count: int, generator: torch.Generator) -> list[Example]:
    """Draw some of a patient's sentences, all where there are no more."""
    return [pairs[index] for index in torch.randperm(len(pairs), generator=generator)[:count].tolist()]


def _gradients(
    loaded: LoadedAdapter, trained: Mapping[str, torch.nn.Parameter], patients: Iterable[Sequence[Example]]
) -> Iterator[Block]:
    """Yield one gradient a patient: that of the mean loss over the words of the sentences that he shows."""
    for pairs in patients:
        raise_if_stopped()
        loss = answer_loss(loaded.model, [_encoded(loaded, pair) for pair in pairs], _pad(loaded))
        yield [part.unsqueeze(0) for part in torch.autograd.grad(loss, list(trained.values()))]


def _encoded(loaded: LoadedAdapter, example: Example) -> dict[str, list[int]]:
    row: dict[str, Any] = {
        "codes": example.codes,
        "placeholders": example.placeholders,
        "answer": example.answer,
        "language": example.language,
    }
    return encode(row, loaded.tokenizer)


def _pad(loaded: LoadedAdapter) -> int:
    return int(loaded.tokenizer.pad_token_id)
