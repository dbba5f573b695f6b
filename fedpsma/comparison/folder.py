"""Analysed studies on disk: read as ``fedpsma analyze`` wrote them, and the comparison of two, whole or not at all."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fedpsma.analysis_folder import ANATOMY_FILE, CT_FILE, EXAM_FILE, LESIONS_FILE, PET_FILE, SUMMARY_FILE
from fedpsma.comparison.page import comparison_page
from fedpsma.comparison.picture import side_by_side
from fedpsma.comparison.study_pair import Examined, StudyPair
from fedpsma.domain.study import Study
from fedpsma.errors import InputError
from fedpsma.io.exam_file import read_exam, write_record
from fedpsma.io.files import finished_folder, read_json, write_bytes, write_json, write_text
from fedpsma.io.nifti import read_labels_like, read_volume, read_volume_like
from fedpsma.pictures.drawing import png_bytes
from fedpsma.staging_page import DISCLAIMER, staging_page

COMPARISON_FILE = "comparison.json"
FILES = frozenset(
    {COMPARISON_FILE, "comparison.html", "comparison.png", "exam.json", "assessment.json", "assessment.html"}
)


def read_examined(folder: Path) -> Examined:
    """Read an analysed study.

    Raises:
        InputError: The folder is no analysis, holds no images (an older analysis), or a file is broken.
    """
    if not (folder / SUMMARY_FILE).is_file():
        raise InputError("is not an analysis", where=str(folder), remedy="give a folder that fedpsma analyze wrote")
    if not (folder / PET_FILE).is_file():
        raise InputError("holds no PET to align", where=str(folder), remedy="analyze the study again")
    summary = read_json(folder / SUMMARY_FILE)
    exam = read_exam(folder / EXAM_FILE)
    pet = read_volume(folder / PET_FILE)
    ct = read_volume_like(folder / CT_FILE, pet, outside=-1024.0) if (folder / CT_FILE).is_file() else None
    anatomy = read_labels_like(folder / ANATOMY_FILE, pet) if (folder / ANATOMY_FILE).is_file() else None
    name = str(summary.get("study", folder.name))
    study = Study(
        study_id=name,
        patient_id=name,
        pet=pet.data,
        affine=pet.affine,
        tracer=exam.tracer,
        ct=None if ct is None else ct.data,
        lesions=read_labels_like(folder / LESIONS_FILE, pet),
        anatomy=None if anatomy is None else anatomy.astype(np.uint8),
        date=summary.get("date"),
        technique=exam.technique,
    )
    return Examined(study, exam, _segmentation_rule(summary), synthetic=bool(summary.get("synthetic")))


def _segmentation_rule(summary: dict[str, Any]) -> str | None:
    contour = summary.get("contour")
    return str(contour["convention"]) if isinstance(contour, dict) and "convention" in contour else None


def write_comparison(out: Path, earlier: Examined, later: Examined, pair: StudyPair, seconds: dict[str, float]) -> None:
    """Write exam with prior, assessment, the matched lesions, the picture and the pages."""
    with finished_folder(out) as folder:
        write_record(folder / "exam.json", pair.exam)
        write_record(folder / "assessment.json", pair.assessment)
        write_text(folder / "assessment.html", staging_page(pair.exam, pair.assessment))
        write_bytes(folder / "comparison.png", png_bytes(side_by_side(earlier, later, pair)))
        write_text(folder / "comparison.html", comparison_page(earlier, later, pair, "comparison.png"))
        write_json(folder / COMPARISON_FILE, _summary(earlier, later, pair, seconds))


def _summary(earlier: Examined, later: Examined, pair: StudyPair, seconds: dict[str, float]) -> dict[str, Any]:
    changes = pair.assessment.prior_change
    return {
        "baseline": earlier.study.study_id,
        "follow_up": later.study.study_id,
        "synthetic": earlier.synthetic or later.synthetic,
        "disclaimer": DISCLAIMER,
        "aligned_by": pair.alignment.modality,
        "lesions": [asdict(group) | {"change": changes.get(group.now[0])} for group in pair.groups],
        "new": pair.new,
        "resolved": pair.resolved,
        "not_covered_at_baseline": sorted(pair.match.uncovered_before),
        "not_covered_at_follow_up": sorted(pair.match.uncovered_now),
        "not_matched_without_a_volume": list(pair.unmatched),
        "recip": pair.assessment.recip,
        "recip_inputs": pair.assessment.recip_inputs.model_dump() if pair.assessment.recip_inputs else None,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
    }
