"""What a model reaches on the patients that nobody trained on, by site and in all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fedpsma.errors import InputError
from fedpsma.io.files import read_text, write_text
from fedpsma.model.checkpoint import Checkpoint, Weights, model_hash
from fedpsma.training.lesion_subject import LesionSubject
from fedpsma.training.subject import Figures, OnItem, Subject
from server.simulation.datasets import SiteData

# To be raised whenever the same model on the same patients would be judged otherwise.
_VERSION = 3


class Judgement(BaseModel):
    """The figures of one model on the held-out patients of all sites together, and of each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    together: Figures
    sites: dict[str, Figures]


def judge(
    checkpoint: Checkpoint,
    sites: Sequence[SiteData],
    kept: Path,
    own: Mapping[str, Weights] | None = None,
    on_item: OnItem = lambda: None,
    subject: Subject[Any] | None = None,
) -> Judgement:
    """Judge a model on every site's held-out patients; what was judged before is read from ``kept``.

    Args:
        checkpoint: The model.
        sites: The sites; those without held-out patients are left out.
        kept: Folder for judgements.
        own: Weights by site where a site uses its own.
        on_item: Called after each study, or whatever else of the patients is tried one by one.
        subject: What the model is; a lesion network if left out.

    Raises:
        InputError: The data of a held-out patient cannot be read.
    """
    what: Subject[Any] = subject or LesionSubject()
    judged = {one.name: one.held_out for one in sites if one.held_out is not None}
    models = {
        name: checkpoint.model_copy(update={"weights": (own or {}).get(name, checkpoint.weights)}) for name in judged
    }
    told = [(name, model_hash(models[name].weights), what.items(data)) for name, data in judged.items()]
    key = hashlib.sha256(repr((_VERSION, told)).encode()).hexdigest()
    path = kept / f"{key[:24]}.json"
    known = _kept(path, key)
    if known is not None:
        return known
    scored = {name: what.score(models[name], data, on_item) for name, data in judged.items()}
    everyone = [(f"{name}/{patient}", score) for name, found in scored.items() for patient, score in found]
    made = Judgement(
        key=key, together=what.figures(everyone), sites={name: what.figures(found) for name, found in scored.items()}
    )
    write_text(path, made.model_dump_json(indent=1))
    return made


def _kept(path: Path, key: str) -> Judgement | None:
    try:
        known = Judgement.model_validate_json(read_text(path))
    except (InputError, ValidationError):
        return None
    return known if known.key == key else None
