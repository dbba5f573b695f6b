"""Why the network suspects a lesion of an analysis: the shares of PET and CT, written beside the analysis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from fedpsma.analysis_folder import DISCLAIMER, SUMMARY_FILE
from fedpsma.domain.exam import Exam, Lesion
from fedpsma.domain.saliency import Saliency
from fedpsma.domain.study import LabelVolume, Study
from fedpsma.errors import InputError
from fedpsma.io.dataset import parse_record
from fedpsma.io.exam_file import read_exam
from fedpsma.io.files import read_json, write_bytes, write_json
from fedpsma.io.nifti import read_volume, write_volume
from fedpsma.io.orientation import same_grid
from fedpsma.lesions.foci import CORE_FRACTION
from fedpsma.pictures.drawing import png_bytes
from fedpsma.pictures.saliency import saliency_picture

FOLDER = "saliency"
# The exam holds one decimal.
_SUV_TOLERANCE = 0.051


@dataclass(frozen=True)
class ExplainedAnalysis:
    """An analysis with the study it was made of: what is needed to look at one of its lesions again.

    ``study`` has the tracer that the analysis was made with; ``labels`` (x, y, z) number the lesions (1 is "L1");
    ``model_sha256`` is the hash of the weights.
    """

    folder: Path
    exam: Exam
    study: Study
    labels: LabelVolume
    model_sha256: str
    synthetic: bool

    def lesion(self, lesion_id: str) -> Lesion:
        """Return a lesion by its id.

        Raises:
            InputError: There is none, or the study is not the one it was found in.
        """
        known = {f"L{number}" for number in np.unique(self.labels[self.labels > 0])}
        listed = {one.lesion_id: one for one in self.exam.lesions if one.lesion_id in known}
        if lesion_id not in listed:
            some = ", ".join([*listed][:5]) + (", ..." if len(listed) > 5 else "")
            remedy = f"give one of {some}" if listed else "it found none"
            raise InputError(f"has no lesion {lesion_id!r}", where=str(self.folder), remedy=remedy)
        lesion = listed[lesion_id]
        hottest = float(self.study.pet[self._voxels(lesion)].max())
        if lesion.suvmax is not None and abs(hottest - lesion.suvmax) > _SUV_TOLERANCE:
            raise _another_study(self.folder, f"there {lesion_id} has another SUVmax")
        return lesion

    def core(self, lesion: Lesion) -> NDArray[np.bool_]:
        """Return the voxels (x, y, z) of a lesion with at least half its maximum, where its suspicion is taken."""
        voxels = self._voxels(lesion)
        core: NDArray[np.bool_] = voxels & (self.study.pet >= CORE_FRACTION * self.study.pet[voxels].max())
        return core

    def _voxels(self, lesion: Lesion) -> NDArray[np.bool_]:
        return np.asarray(self.labels == int(lesion.lesion_id.removeprefix("L")))


class _Model(BaseModel):
    sha256: str


class _Summary(BaseModel):
    """What is needed of ``analysis.json``; the rest is not looked at."""

    notes: list[str]
    model: _Model
    synthetic: bool


def reopen(folder: Path, study: Study) -> ExplainedAnalysis:
    """Read an analysis together with the study that it was made of.

    Raises:
        InputError: The folder is no analysis, or was made of another study: on another grid, or with or without a CT.
    """
    if not (folder / SUMMARY_FILE).is_file():
        raise InputError("is not an analysis", where=str(folder), remedy="name a folder that fedpsma analyze wrote")
    summary = parse_record(_Summary, read_json(folder / SUMMARY_FILE), str(folder / SUMMARY_FILE))
    exam = read_exam(folder / "exam.json")
    labels = read_volume(folder / "lesions.nii.gz")
    if not same_grid(study.pet.shape, study.affine, labels.data.shape, labels.affine):
        raise _another_study(folder, "its PET has another grid")
    had_ct = not any(note.startswith("no CT") for note in summary.notes)
    if had_ct != (study.ct is not None):
        raise _another_study(folder, "it had a CT" if had_ct else "it had no CT")
    return ExplainedAnalysis(
        folder=folder,
        exam=exam,
        study=replace(study, tracer=exam.tracer),
        labels=labels.data.astype(np.int32),
        model_sha256=summary.model.sha256,
        synthetic=summary.synthetic,
    )


def write_saliency(analysis: ExplainedAnalysis, lesion: Lesion, found: Saliency) -> Path:
    """Write picture, maps and sums of one lesion into the analysis; return the path of the picture.

    The maps lie on the working grid of the network, so that the sum over their voxels is what PET or CT adds.
    """
    stem = analysis.folder / FOLDER / lesion.lesion_id
    for kind, share in (("pet", found.pet_share), ("ct", found.ct_share)):
        if share is not None:
            write_volume(stem.with_name(f"{stem.name}_{kind}.nii.gz"), share, found.affine)
    write_json(stem.with_suffix(".json"), _record(analysis, lesion, found))
    caption = f"{'SYNTHETIC PATIENT  ' if analysis.synthetic else ''}{analysis.study.study_id}   {DISCLAIMER}"
    picture = stem.with_suffix(".png")
    write_bytes(picture, png_bytes(saliency_picture(found, lesion, caption=caption)))
    return picture


def _record(analysis: ExplainedAnalysis, lesion: Lesion, found: Saliency) -> dict[str, Any]:
    return {
        "lesion": lesion.lesion_id,
        "suspicion": round(found.suspicion, 4),
        "without_a_patient": round(found.baseline, 4),
        "by_pet": round(found.from_pet, 4),
        "by_ct": None if found.from_ct is None else round(found.from_ct, 4),
        "error": round(found.remainder, 4),
        "method": "integrated gradients of the mean probability of the voxels of half the maximum and more",
        "source": "Sundararajan, Taly and Yan 2017, arXiv 1703.01365",
        "baseline": "no uptake, and air",
        "model_sha256": analysis.model_sha256,
        "disclaimer": DISCLAIMER,
    }


def _another_study(folder: Path, reason: str) -> InputError:
    return InputError(
        f"was made of another study than INPUT: {reason}", where=str(folder), remedy="give the input it was made of"
    )
