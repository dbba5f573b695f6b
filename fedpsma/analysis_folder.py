"""An analysis on disk: the folder that ``fedpsma analyze`` writes, whole or not at all."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from fedpsma import __version__
from fedpsma.analysis import Analysis, AnalysisOptions
from fedpsma.domain.contour import contour_rules
from fedpsma.domain.study import Study
from fedpsma.io.exam_file import write_record
from fedpsma.io.files import finished_folder, write_bytes, write_json, write_text
from fedpsma.io.nifti import write_volume
from fedpsma.lesions.judge import Judgement
from fedpsma.lesions.reasons import reasons
from fedpsma.lesions.references import UptakeRatios
from fedpsma.lesions.statistics import IntensityStatistics
from fedpsma.model.checkpoint import ModelCard
from fedpsma.pictures.drawing import png_bytes
from fedpsma.pictures.key_slices import key_image_sheet
from fedpsma.pictures.mip import mip_picture

SUMMARY_FILE = "analysis.json"
PET_FILE = "pet.nii.gz"
CT_FILE = "ct.nii.gz"
LESIONS_FILE = "lesions.nii.gz"
ANATOMY_FILE = "anatomy.nii.gz"
EXAM_FILE = "exam.json"
# PET on disk is rounded to this SUV step, a power of two, so that the file compresses.
_SUV_STEP = np.float32(2.0**-7)
# What an analysis, and the explanations added to it, may hold.
FILES = frozenset(
    {
        SUMMARY_FILE,
        PET_FILE,
        CT_FILE,
        LESIONS_FILE,
        ANATOMY_FILE,
        EXAM_FILE,
        "lesions.csv",
        "mip.png",
        "key_images.png",
        "saliency",
    }
)
DISCLAIMER = "Research software: not a medical device, and no clinician has reviewed its rules or thresholds."

BORROWED_JUDGE = (
    "the judge was fitted for the weights that training began with: for this model its error level is not promised"
)
NOT_CALIBRATED = (
    "the model has no judge: probabilities are not calibrated, and fixed cut-offs decide what is indeterminate; "
    "fedpsma calibrate fits a judge"
)


def write_analysis(
    out: Path, study: Study, found: Analysis, card: ModelCard, *, synthetic: bool, seconds: dict[str, float]
) -> None:
    """Write exam, lesion table, numbered mask, images, anatomical map, pictures and a summary of how they came about.

    Args:
        out: Folder to write; an older one is replaced only when all is written.
        study: What was analysed.
        found: The analysis.
        card: The model that was used.
        synthetic: Whether the patient is a phantom, which is then said on the picture.
        seconds: Time by stage, for the summary.
    """
    lesions = found.exam.lesions
    caption = f"{'SYNTHETIC PATIENT  ' if synthetic else ''}{study.study_id}   {DISCLAIMER}"
    with finished_folder(out) as folder:
        write_record(folder / EXAM_FILE, found.exam)
        write_text(folder / "lesions.csv", _csv(found))
        write_volume(folder / LESIONS_FILE, found.lesion_labels, study.affine)
        write_volume(folder / ANATOMY_FILE, found.prediction.anatomy, study.affine)
        write_volume(folder / PET_FILE, np.rint(study.pet / _SUV_STEP) * _SUV_STEP, study.affine)
        if study.ct is not None:
            write_volume(folder / CT_FILE, np.rint(study.ct).astype(np.int16), study.affine)
        mip = mip_picture(study, found.lesion_labels, lesions, caption=caption)
        write_bytes(folder / "mip.png", png_bytes(mip))
        sheet = key_image_sheet(study, found.lesion_labels, lesions)
        if sheet is not None:
            write_bytes(folder / "key_images.png", png_bytes(sheet))
        write_json(folder / SUMMARY_FILE, _summary(study, found, card, synthetic=synthetic, seconds=seconds))


def notes_for_reader(found: Analysis, card: ModelCard, *, synthetic: bool) -> tuple[str, ...]:
    """Return what a reader must be told of the study and of the model that read it."""
    notes, judge = found.notes, found.options.candidates.judge
    if judge is None:
        notes = (*notes, NOT_CALIBRATED)
    elif judge.model_sha256 != card.sha256:
        notes = (*notes, BORROWED_JUDGE)
    if synthetic or not _learnt_from_synthetic(card):
        return notes
    unproven = (
        f"the model {card.name!r} was trained on synthetic patients: on a real scan its regions, probabilities and "
        "reference organs are unproven"
    )
    return (unproven, *notes)


def _learnt_from_synthetic(card: ModelCard) -> bool:
    """Tell whether the model, or the one it began with, was trained on synthetic patients."""
    start = card.recipe.get("start")
    return "synthetic" in card.data or (isinstance(start, dict) and "synthetic" in str(start.get("data")))


def _summary(
    study: Study, found: Analysis, card: ModelCard, *, synthetic: bool, seconds: dict[str, float]
) -> dict[str, Any]:
    options = found.options
    return {
        "study": study.study_id,
        "date": study.date,
        "synthetic": synthetic,
        "disclaimer": DISCLAIMER,
        "notes": list(notes_for_reader(found, card, synthetic=synthetic)),
        "model": {"name": card.name, "sha256": card.sha256, "epsilon": card.epsilon, "delta": card.delta},
        "contour": contour_rules()[options.candidates.contour].model_dump(mode="json"),
        "foci": asdict(options.candidates.focus),
        "labels": _labels(options, card),
        "why": {
            lesion.lesion_id: _why(one.judgement)
            for lesion, one in zip(found.exam.lesions, found.listed, strict=True)
            if one.judgement is not None
        },
        "references": {name: value for name, value in asdict(found.references).items()},
        "tumour": asdict(found.tumour),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "version": __version__,
    }


def _labels(options: AnalysisOptions, card: ModelCard) -> dict[str, Any]:
    """Say what decides between malignant, indeterminate and physiological."""
    judge = options.candidates.judge
    if judge is None:
        return {
            "malignant_from": options.malignant_from,
            "indeterminate_from": options.indeterminate_from,
            "listed_from": options.listed_from,
            "tag": "P",
            "source": "project policy on probabilities that are not calibrated",
        }
    return {
        "malignant_from": judge.malignant_from,
        "indeterminate_from": judge.indeterminate_from,
        "listed_from": options.listed_from,
        "error_level": judge.error_level,
        "source": f"conformal bounds by class, fitted on {judge.fitted_on}"
        + ("" if judge.model_sha256 == card.sha256 else f"; {BORROWED_JUDGE}"),
    }


def _why(judgement: Judgement) -> dict[str, Any]:
    """Return the facts that moved a judgement, as log-odds for (positive) or against malignancy."""
    return {
        "probability": round(judgement.probability, 4),
        "verdict": judgement.verdict,
        "prior_log_odds": round(judgement.prior, 2),
        "facts": [asdict(reason) for reason in reasons(judgement)],
    }


# Extents of the outline on PET: what CT shows of a node is size_mm.
_PET_ONLY = {"longest_mm": "pet_longest_mm", "short_axis_mm": "pet_short_axis_mm"}


def _csv(found: Analysis) -> str:
    """Return the table with unrounded measurements; an empty field is not known.

    Behind the usual quantities stand SUVmax over each reference organ and the IBSI features of the SUV's spread.
    """
    told = ("lesion_id", "region", "side", "label", "model_prob", "size_mm", "ct_correlate")
    measured = ("suvmax", "suvmean", "suvpeak", "volume_ml", "tlu", "tlq", "longest_mm", "short_axis_mm")
    organs, spread = ([one.name for one in fields(kind)] for kind in (UptakeRatios, IntensityStatistics))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        [
            *told,
            *(_PET_ONLY.get(name, name) for name in measured),
            *(f"suvmax_over_{name}" for name in organs),
            *(f"suv_{name}" for name in spread),
        ]
    )
    for lesion, quantities in zip(found.exam.lesions, found.quantities, strict=True):
        ratios = found.references.ratios(quantities.suvmax)
        words = [getattr(lesion, name) for name in told]
        values = [getattr(quantities, name) for name in measured] + [getattr(ratios, name) for name in organs]
        values += [getattr(quantities.statistics, name, None) for name in spread]
        numbers = ["" if value is None else f"{value:.4f}" for value in values]
        writer.writerow(["" if word is None else word for word in words] + numbers)
    return stream.getvalue()
