"""What a model reaches on the patients that nobody trained on, by site and in all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from fedpsma.errors import InputError
from fedpsma.evaluation.bootstrap import Figure, draw_weights, figure_of, mean
from fedpsma.evaluation.detection import PooledDetections
from fedpsma.io.dataset import Dataset
from fedpsma.io.files import read_text, write_text
from fedpsma.model.checkpoint import Checkpoint, Weights, apply_weights, model_hash
from fedpsma.model.network import LesionNet
from fedpsma.training.sources import SourceCache
from fedpsma.training.validation import StudyScore, score_study
from server.simulation.datasets import SiteData

# To be raised whenever the same model on the same patients would be judged otherwise.
_VERSION = 1
_STUDIES = SourceCache()
OnStudy = Callable[[], None]
_Scored = tuple[str, StudyScore]


class Figures(BaseModel):
    """Lesion average precision and mean Dice of the studies with lesions, with 95 % intervals over patients."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patients: int
    lesions: int
    average_precision: Figure
    dice: Figure


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
    on_study: OnStudy = lambda: None,
) -> Judgement:
    """Judge a model on every site's held-out patients; what was judged before is read from ``kept``.

    Args:
        checkpoint: The model.
        sites: The sites; those without held-out patients are left out.
        kept: Folder for judgements.
        own: Weights by site where a site uses its own.
        on_study: Called after each study.

    Raises:
        InputError: A held-out study cannot be read or has no lesion mask.
    """
    judged = {one.name: one.held_out for one in sites if one.held_out is not None}
    weights = {name: (own or {}).get(name, checkpoint.weights) for name in judged}
    key = _key(judged, weights)
    path = kept / f"{key[:24]}.json"
    known = _kept(path, key)
    if known is not None:
        return known
    scored = {name: _scores(checkpoint, weights[name], data, on_study) for name, data in judged.items()}
    everyone = [(f"{name}/{patient}", score) for name, found in scored.items() for patient, score in found]
    made = Judgement(
        key=key, together=figures(everyone), sites={name: figures(found) for name, found in scored.items()}
    )
    write_text(path, made.model_dump_json(indent=1))
    return made


def figures(scored: Sequence[_Scored]) -> Figures:
    """Summarise scored studies, each with the name of its patient."""
    names = sorted({patient for patient, _ in scored})
    owner = np.array([names.index(patient) for patient, _ in scored], dtype=np.intp)
    drawn = draw_weights(len(names), np.random.default_rng(0))
    with_lesions = [at for at, (_, score) in enumerate(scored) if score.truth]
    pooled = PooledDetections.of([score.detections for _, score in scored], owner.tolist())
    dice = [2 * scored[at][1].overlap / (scored[at][1].predicted + scored[at][1].truth) for at in with_lesions]
    return Figures(
        patients=len(names),
        lesions=sum(score.lesions for _, score in scored),
        average_precision=figure_of(pooled.average_precision(drawn)),
        dice=figure_of(mean(drawn, owner[with_lesions], dice)) if dice else Figure(value=None),
    )


def _scores(checkpoint: Checkpoint, weights: Weights, data: Dataset, on_study: OnStudy) -> list[_Scored]:
    net = LesionNet(checkpoint.network)
    apply_weights(net, weights)
    found = []
    for row in data.rows:
        found.append((row.patient, score_study(net, _STUDIES.get(data, row, checkpoint.network).study)))
        on_study()
    return found


def _key(judged: Mapping[str, Dataset], weights: Mapping[str, Weights]) -> str:
    told = [(name, model_hash(weights[name]), [row.model_dump_json() for row in judged[name].rows]) for name in judged]
    return hashlib.sha256(repr((_VERSION, told)).encode()).hexdigest()


def _kept(path: Path, key: str) -> Judgement | None:
    try:
        known = Judgement.model_validate_json(read_text(path))
    except (InputError, ValidationError):
        return None
    return known if known.key == key else None
