"""Sites with a few synthetic sentences each, and a fresh adapter of the tiny model to start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tiny_llama import NAME

from reporting.llm.adapter import fresh_adapter
from reporting.llm.adapter_files import write_start
from reporting.llm.corpus import draw_examples
from reporting.wording.phrasing import style

TRAINER = "reporting.llm.federated"


def make_site(folder: Path, name: str, sentences: Mapping[str, int], seed: int = 1) -> Path:
    """Write a corpus in which each patient has so many sentences."""
    drawn = iter(draw_examples(sum(sentences.values()), seed, phrasing=style("terse", "en")))
    rows = [asdict(next(drawn)) | {"patient": patient} for patient, count in sentences.items() for _ in range(count)]
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "card.json").write_text(json.dumps({"site": name, "synthetic": True}), "utf-8")
    return folder


def make_start(path: Path, seed: int = 3) -> Path:
    """Write a fresh adapter of the tiny model, which has to lie in the cache folder."""
    config, weights = fresh_adapter(NAME, 2, ("q_proj", "v_proj"), seed)
    write_start(path, config, weights, name="fresh", data="none: drawn")
    return path
