"""The card beside an adapter: how it was made, from what, and how good it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fedpsma.io.files import read_json, write_json
from reporting.llm.evaluate import Quality
from reporting.llm.loading import ADAPTER_WEIGHTS
from reporting.llm.lora import TuningPlan
from reporting.llm.store import embedded_model, model_folder
from reporting.wording.phrasing import style
from reporting.wording.vocabulary import combinations, is_held_out

CARD = "card.json"
_LOSS_WINDOW = 20


@dataclass(frozen=True)
class Made:
    """How an adapter was made: the base model, the corpus folder (``None``: drawn), the recipe, the losses."""

    base: Path
    corpus: Path | None
    plan: TuningPlan
    losses: Sequence[float]


def write_card(folder: Path, made: Made, quality: Mapping[str, Quality]) -> None:
    """Write ``card.json`` into the folder of a finished adapter.

    Args:
        folder: The adapter's folder; its weights are hashed into the card.
        made: How it was made.
        quality: Held-out results by what was measured, each before any fallback.
    """
    write_json(folder / CARD, card(folder, made, quality))


def card(folder: Path, made: Made, quality: Mapping[str, Quality]) -> dict[str, Any]:
    """Return the content of the card."""
    return {
        "about": "LoRA adapter that words PSMA-PET findings from codes; research software, no clinician has "
        "reviewed its wording",
        "licence": "Apache-2.0",
        "base": base_entry(made.base),
        "adapter_sha256": file_sha256(folder / ADAPTER_WEIGHTS),
        "recipe": asdict(made.plan),
        "corpus": _corpus(made),
        "loss": {
            f"first_{_LOSS_WINDOW}_steps": round(float(np.mean(made.losses[:_LOSS_WINDOW])), 3),
            f"last_{_LOSS_WINDOW}_steps": round(float(np.mean(made.losses[-_LOSS_WINDOW:])), 3),
        },
        "held_out": {
            name: {**asdict(counts), "fallback_rate": round(counts.fallback_rate, 4)}
            for name, counts in quality.items()
        },
    }


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def base_entry(folder: Path) -> dict[str, Any]:
    """Return what a card says of the language model in a folder."""
    embedded = embedded_model()
    if folder == model_folder():
        return {"name": embedded.name, "weights_sha256": embedded.weights_sha256, "licence": embedded.licence}
    return {"name": folder.name, "folder": str(folder.resolve())}


def _corpus(made: Made) -> dict[str, Any]:
    every = combinations()
    split = {
        "combinations": len(every),
        "held_out_combinations": sum(is_held_out(codes) for codes in every),
        "split": "by combination of codes",
    }
    if made.corpus is not None:
        return {**read_json(made.corpus / "card.json"), **split}
    return {
        "origin": "synthetic sentences composed from data/styles/prose.en.json; no patient data",
        "wording_source": style("prose", "en").source,
        "sentences": made.plan.steps * made.plan.batch,
        **split,
    }
