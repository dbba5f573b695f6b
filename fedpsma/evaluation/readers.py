"""Who reads the studies: a network with its judge, or a folder of masks that somebody else made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fedpsma import __version__
from fedpsma.analysis import AnalysisOptions, analyze
from fedpsma.domain.contour import ContourConvention
from fedpsma.domain.study import Study
from fedpsma.errors import InputError
from fedpsma.evaluation.records import StudyScores
from fedpsma.evaluation.scoring import score_analysis, score_mask
from fedpsma.evaluation.truth import StudyTruth
from fedpsma.io.files import file_state
from fedpsma.io.nifti import Volume, read_labels_like
from fedpsma.lesions.candidates import CandidateOptions
from fedpsma.lesions.judge import Judge, load_judge
from fedpsma.model.checkpoint import ModelCard, judge_path, load_checkpoint, load_network

if TYPE_CHECKING:
    from fedpsma.model.network import LesionNet


@dataclass(frozen=True)
class Question:
    """A study to be read: with its truth, the name of its data set and the convention to outline by."""

    study: Study
    truth: StudyTruth
    dataset: str
    contour: ContourConvention


class Reader(Protocol):
    """Anything whose reading of a study can be scored."""

    @property
    def name(self) -> str:
        """How the report calls it."""

    @property
    def epsilon(self) -> float | None:
        """Its privacy loss towards the patients it was trained on; ``None`` where it has no such guarantee."""

    def key(self, study_id: str) -> str:
        """Name everything of the reader that its reading of a study depends on."""

    def read(self, question: Question) -> StudyScores:
        """Read a study and score the reading."""


@dataclass(frozen=True)
class NetworkReader:
    """A checkpoint, with the judge that lies beside it; ``path`` is ``None`` for the base checkpoint."""

    path: Path | None
    card: ModelCard
    judge: Judge | None

    @classmethod
    def load(cls, path: Path | None) -> NetworkReader:
        """Check a checkpoint and its judge; the network itself is built when it is first needed.

        Raises:
            InputError: A file is missing or broken, or they do not belong together.
        """
        card = load_checkpoint(path).card
        return cls(path, card, load_judge(judge_path(path), card.sha256))

    @property
    def name(self) -> str:
        """The name on the model card."""
        return self.card.name

    @property
    def epsilon(self) -> float | None:
        """The privacy loss on the model card."""
        return self.card.epsilon

    def key(self, study_id: str) -> str:
        """Name the weights, the judge and the software."""
        judge = "" if self.judge is None else self.judge.model_dump_json()
        return _digest(__version__, self.card.sha256, judge)

    def read(self, question: Question) -> StudyScores:
        """Analyse a study as ``fedpsma analyze`` does, told whether the prostate is still there."""
        options = AnalysisOptions(
            candidates=CandidateOptions(contour=question.contour, judge=self.judge),
            prostate_status=question.truth.clinical.prostate_status,
        )
        found = analyze(question.study, self._network, options)
        return score_analysis(question.study, found, question.truth, dataset=question.dataset, contour=question.contour)

    @cached_property
    def _network(self) -> LesionNet:
        return load_network(self.path)


@dataclass(frozen=True)
class MaskReader:
    """A folder with one mask a study, ``<study id>.nii.gz`` or ``.nii``, on the grid of the study's PET."""

    folder: Path

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name

    @property
    def epsilon(self) -> None:
        """Nothing is known of it."""
        return None

    def key(self, study_id: str) -> str:
        """Name the state of the study's mask.

        Raises:
            InputError: There is no mask of this study.
        """
        path = self._mask(study_id)
        return _digest(__version__, path.name, *map(str, file_state(path) or ()))

    def read(self, question: Question) -> StudyScores:
        """Score the mask of a study."""
        study = question.study
        mask = read_labels_like(self._mask(study.study_id), Volume(study.pet, study.affine))
        return score_mask(study, mask > 0, question.truth, dataset=question.dataset)

    def _mask(self, study_id: str) -> Path:
        for ending in (".nii.gz", ".nii"):
            path = self.folder / f"{study_id}{ending}"
            if path.is_file():
                return path
        raise InputError(
            f"has no mask {study_id}.nii.gz", where=str(self.folder), remedy="name each mask by the id of its study"
        )


def readers_of(models: Sequence[Path], predicted: Path | None) -> tuple[Reader, ...]:
    """Return the readers for checkpoints and a folder of masks; the base checkpoint where neither is given.

    Raises:
        InputError: A checkpoint is broken, two have the same name, or the folder is none.
    """
    found: list[Reader] = [NetworkReader.load(path) for path in models]
    if predicted is not None:
        if not predicted.is_dir():
            raise InputError("is not a folder", where=str(predicted), remedy="name a folder of masks")
        found.append(MaskReader(predicted))
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two models have the name {twice!r}", where="--model", remedy="name each on its model card")
    return tuple(found) or (NetworkReader.load(None),)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
