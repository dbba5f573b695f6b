"""The trainer of a site for adapters: patients' sentences in, LoRA matrices out, behind the seam of the federation.

A site names it in its policy (``trainer = "reporting.llm.federated"``). The patient is the unit of privacy: all his
sentences together give one gradient, which is clipped as a whole, and patients are drawn, never sentences.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedpsma.errors import InputError
from fedpsma.evaluation.bootstrap import draw_weights, figure_of, quotient
from fedpsma.model.checkpoint import Checkpoint, Weights
from fedpsma.model.config import ModelConfig, model_config_of, require_adapter
from fedpsma.training.accounting import accountant, cost
from fedpsma.training.accounting import epsilon_of as epsilon
from fedpsma.training.gradients.engine import Block
from fedpsma.training.interruption import raise_if_stopped
from fedpsma.training.local_rules import with_bound
from fedpsma.training.private_round import PrivateRound, limited_threads, training_device
from fedpsma.training.randomness import generator_of, randomness_of
from fedpsma.training.subject import Figures, Measure, OnItem, Scored, Yardstick
from fedpsma.training.trainer import SpentOtherwiseError, TrainingTask
from reporting.llm.adapter import LoadedAdapter, load_adapter, require_base
from reporting.llm.corpus import Example
from reporting.llm.lora import IGNORED, answer_loss, encode
from reporting.llm.pairs import SitePairs, joined, part_of, read_pairs

__all__ = ["accountant", "cost", "epsilon", "subject", "train"]


def subject() -> AdapterSubject:
    """Return what is trained: an adapter, on pairs of codes and sentences."""
    return AdapterSubject()


def train(task: TrainingTask[SitePairs]) -> Weights:
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


class AdapterSubject:
    """An adapter of a language model, judged by its loss on the sentences of patients."""

    yardstick = Yardstick(
        measures=(Measure(name="loss", title="loss", higher_is_better=False),),
        counted="sentences",
        explanation="Loss: mean cross entropy, in nats a token, of the sentence templates given their codes; less is "
        "better. No clinician has judged any sentence.",
    )

    def require(self, config: ModelConfig, *, where: str) -> None:
        """Raise InputError where weights are not those of an adapter of the language model on this machine."""
        require_base(require_adapter(config, where=where))

    def open(self, folder: Path) -> SitePairs:
        """Open the corpus of a site.

        Raises:
            InputError: It is none, or a pair names no patient.
        """
        return read_pairs(folder)

    def part(self, data: SitePairs, patients: Collection[str], site: str, folder: Path) -> SitePairs:
        """Write the pairs of some patients."""
        return part_of(data, patients, site, folder)

    def joined(self, parts: Sequence[SitePairs], name: str, folder: Path | None) -> SitePairs:
        """Join the pairs of sites."""
        return joined(parts, name, folder)

    def label(self, data: SitePairs, patient: str, kind: str) -> str:
        """Raise InputError: nothing of the kind is known of pairs."""
        raise InputError(f"pairs have no {kind}", where="partition", remedy='use by = "size", or a corpus a site')

    def items(self, data: SitePairs) -> tuple[str, ...]:
        """Return the pairs."""
        return tuple(map(repr, data.examples))

    def score(self, checkpoint: Checkpoint, data: SitePairs, on_item: OnItem) -> list[Scored]:
        """Return the summed loss and the number of tokens of every sentence.

        Raises:
            InputError: The weights are no adapter, or do not fit the language model here.
        """
        config = require_adapter(checkpoint.card.network, where=f"the checkpoint {checkpoint.card.name}")
        loaded = load_adapter(config, checkpoint.weights)
        found = []
        with torch.inference_mode():
            for example in data.examples:
                row = _encoded(loaded, example)
                tokens = sum(label != IGNORED for label in row["labels"])
                loss = float(answer_loss(loaded.model, [row], _pad(loaded)))
                found.append((example.patient, (loss * tokens, tokens)))
                on_item()
        return found

    def figures(self, scored: Sequence[Scored]) -> Figures:
        """Return the mean loss a token, with its interval over patients."""
        names = sorted({patient for patient, _ in scored})
        losses, tokens = np.zeros(len(names)), np.zeros(len(names))
        for patient, (loss, count) in scored:
            losses[names.index(patient)] += loss
            tokens[names.index(patient)] += count
        drawn = draw_weights(len(names), np.random.default_rng(0))
        found = {"loss": figure_of(quotient(drawn @ losses, drawn @ tokens))}
        return Figures(patients=len(names), counted=len(scored), **found)
