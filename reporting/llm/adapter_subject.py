"""Adapters of a language model and the corpora of sites that they learn from.

What judges an adapter is loaded where it is used: a site that only opens its corpus needs no language model for that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from fedpsma.errors import InputError
from fedpsma.evaluation.bootstrap import draw_weights, figure_of, quotient
from fedpsma.model.checkpoint import Checkpoint
from fedpsma.model.config import ModelConfig, require_adapter
from fedpsma.training.subject import Figures, Measure, OnItem, Scored, Yardstick
from reporting.llm.pairs import SitePairs, joined, part_of, read_pairs


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
        from reporting.llm.adapter import require_base

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
        from reporting.llm.adapter import load_adapter
        from reporting.llm.adapter_round import sentence_losses

        config = require_adapter(checkpoint.card.network, where=f"the checkpoint {checkpoint.card.name}")
        loaded = load_adapter(config, checkpoint.weights)
        found = []
        for example, lost in zip(data.examples, sentence_losses(loaded, data.examples), strict=True):
            found.append((example.patient, lost))
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
