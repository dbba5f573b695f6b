"""The card beside an adapter: how it was made, from what, and how good it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fedpsma.io.files import write_json
from reporting.data_files import read_data
from reporting.llm.corpus import combinations, is_held_out
from reporting.llm.evaluate import Quality
from reporting.llm.loading import ADAPTER_WEIGHTS
from reporting.llm.lora import TuningPlan
from reporting.llm.store import embedded_model

CARD = "card.json"
_LOSS_WINDOW = 20


def write_card(folder: Path, plan: TuningPlan, losses: Sequence[float], quality: Mapping[str, Quality]) -> None:
    """Write ``card.json`` into the folder of a finished adapter.

    Args:
        folder: The adapter's folder; its weights are hashed into the card.
        plan: The recipe.
        losses: The loss of every step.
        quality: Held-out results by what was measured, each before any fallback.
    """
    write_json(folder / CARD, card(folder, plan, losses, quality))


def card(folder: Path, plan: TuningPlan, losses: Sequence[float], quality: Mapping[str, Quality]) -> dict[str, Any]:
    """Return the content of the card."""
    base, every = embedded_model(), combinations()
    return {
        "about": "LoRA adapter that words PSMA-PET findings from codes, English; research software, no clinician has "
        "reviewed its wording",
        "licence": base.licence,
        "base": {"name": base.name, "weights_sha256": base.weights_sha256, "licence": base.licence},
        "adapter_sha256": hashlib.sha256((folder / ADAPTER_WEIGHTS).read_bytes()).hexdigest(),
        "recipe": asdict(plan),
        "corpus": {
            "origin": "synthetic sentences composed from data/wording.json; no patient data",
            "wording_source": read_data("wording.json")["source"],
            "sentences": plan.steps * plan.batch,
            "combinations": len(every),
            "held_out_combinations": sum(is_held_out(codes) for codes in every),
            "split": "by combination of codes",
        },
        "loss": {
            f"first_{_LOSS_WINDOW}_steps": round(float(np.mean(losses[:_LOSS_WINDOW])), 3),
            f"last_{_LOSS_WINDOW}_steps": round(float(np.mean(losses[-_LOSS_WINDOW:])), 3),
        },
        "held_out": {
            name: {**asdict(counts), "fallback_rate": round(counts.fallback_rate, 4)}
            for name, counts in quality.items()
        },
    }
