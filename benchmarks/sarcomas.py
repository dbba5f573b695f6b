"""Agreement with experts on 26 real soft-tissue sarcomas (18F-FDG PET/CT, tumours outlined by hand): Dice of the study.

First tables: which outline comes nearest to the experts' where the tumour is found for certain (the maxima of the PET
inside the experts' mask, or within a voxel of it, are given). The outline "manual" was chosen on the first half of the
patients; the other half tells what that is worth. Then the whole chain with a checkpoint, which finds the tumours
itself, with its judge and without: the judge was fitted on prostate cancer, where a mass in a thigh is none. With
``--tune MINUTES`` the checkpoint is also trained that long on each half and tested on the other. Run it with ``python
benchmarks/sarcomas.py``; the data are used where they lie beside the checkout.
"""

from __future__ import annotations

import os

# Read by the libraries below when they start; training is to cost what one core gives.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import csv
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import ndimage

from fedpsma.analysis import AnalysisOptions, describe, judge_beside, label_of
from fedpsma.domain.contour import ContourConvention, contour_rules
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.evaluation.bootstrap import draw_weights, figure_of, median
from fedpsma.io.dataset import Dataset, DatasetInfo, read_dataset
from fedpsma.io.importing.source import StudySource
from fedpsma.io.importing.table import COLUMNS, read_import_table
from fedpsma.io.importing.writer import import_studies
from fedpsma.lesions.candidates import CandidateOptions, segment
from fedpsma.lesions.contours import outline
from fedpsma.lesions.edges import adaptive_outlines
from fedpsma.lesions.foci import Focus, find_maxima
from fedpsma.lesions.geometry import Mask
from fedpsma.lesions.judge import MALIGNANT, Judge

DATA = Path(__file__).resolve().parents[2] / "shared/data/ibsi_validation_sts"
BAR = 0.75
SPLIT_SEED = 1
LEAST_SUV, LEAST_OF_HOTTEST = 1.2, 0.25
# PET and mask do not always fit to the voxel.
REACHES_MM = (0.0, 4.0)
CONVENTIONS: tuple[ContourConvention, ...] = ("manual", "suv3", "suv4", "pct41", "pct50")
# The step from synthetic whole bodies to cut-outs of thighs is large.
TUNING_RATE = 1e-3
PROBABILITIES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Cohort:
    """The studies by patient, with the places of the two halves."""

    studies: tuple[Study, ...]
    sources: tuple[StudySource, ...]
    first: NDArray[np.intp]
    other: NDArray[np.intp]


def main() -> None:
    """Read the studies and print the tables."""
    options = _options()
    console = Console()
    if not (options.data / "nifti").is_dir():
        console.print(f"skipped: the sarcomas do not lie in {options.data}")
        return
    with tempfile.TemporaryDirectory() as folder:
        cohort = _read(options.data, Path(folder))
        for reach_mm in REACHES_MM:
            _show(console, f"maxima within {reach_mm:g} mm of the mask are given", _given(cohort, reach_mm), cohort)
        if options.chain:
            predict = _predictor(options.model)
            maps = [predict(study) for study in track(cohort.studies, "network")]
            for title, judge in (("", judge_beside(options.model)), (" without the judge of prostate cancer", None)):
                _show(console, f"the whole chain{title}", _chain(cohort, maps, judge), cohort)
            _show(console, "the network alone", _alone(cohort, maps), cohort)
        if options.tune is not None:
            rows = _tuned(cohort, options.model, options.tune, Path(folder))
            _show(console, "trained on one half, tested on the other", rows, cohort)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sarcomas")
    parser.add_argument("--model", type=Path, help="checkpoint; the packaged one when left out")
    parser.add_argument("--no-chain", dest="chain", action="store_false", help="without a network: the outlines alone")
    parser.add_argument("--tune", type=float, metavar="MINUTES", help="also train on each half")
    return parser.parse_args()


def _read(data: Path, folder: Path) -> Cohort:
    sources = sarcoma_sources(data, folder)
    drawn = np.random.default_rng(SPLIT_SEED).permutation(len(sources))
    half = len(sources) // 2
    studies = tuple(source.read().study for source in sources)
    return Cohort(studies, sources, np.sort(drawn[:half]), np.sort(drawn[half:]))


def sarcoma_sources(data: Path, folder: Path) -> tuple[StudySource, ...]:
    """Return the studies of the collection; the table by which they are imported is written to ``folder``."""
    table = folder / "sarcomas.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for pet in sorted((data / "nifti").resolve().glob("*_pet_suv.nii.gz")):
            name = pet.name.removesuffix("_pet_suv.nii.gz")
            ct, mask = (pet.with_name(f"{name}_{kind}.nii.gz") for kind in ("ct_on_pet", "gtv_mask"))
            writer.writerow([name, name, pet, ct, mask, "18F-FDG", ""])
    return read_import_table(table).sources(tracer=None, suv_declared=True)


def _given(cohort: Cohort, reach_mm: float) -> dict[str, Scores]:
    """Score the outlines of the maxima that lie at the experts' mask and are not far below the hottest of them."""
    scores: dict[str, list[float]] = {name: [] for name in ("SUV >= 2.5", *CONVENTIONS)}
    for study in track(cohort.studies, "outlines"):
        foci = _true_foci(study, reach_mm)
        scores["SUV >= 2.5"].append(_dice(_union(foci, [one.above(study.pet, 2.5) for one in foci], study), study))
        for name in CONVENTIONS:
            scores[name].append(_dice(_union(foci, _outlined(foci, name, study), study), study))
    return {name: np.array(values) for name, values in scores.items()}


def _true_foci(study: Study, reach_mm: float) -> list[Focus]:
    near = ndimage.distance_transform_edt(~_truth(study), sampling=study.spacing_mm) <= reach_mm
    inside = [one for one in find_maxima(study) if near[one.peak] and one.suvmax >= LEAST_SUV]
    hottest = max((one.suvmax for one in inside), default=0.0)
    return [one for one in inside if one.suvmax >= LEAST_OF_HOTTEST * hottest]


def _outlined(foci: Sequence[Focus], name: ContourConvention, study: Study) -> Sequence[Mask]:
    rule = contour_rules()[name]
    if rule.kind == "adaptive":
        return adaptive_outlines(foci, study.pet, study.spacing_mm, [True] * len(foci))
    return [outline(one, rule, study.pet, in_bone=False, liver=None) for one in foci]


def _union(foci: Sequence[Focus], masks: Sequence[Mask], study: Study) -> Mask:
    whole = np.zeros(study.pet.shape, dtype=bool)
    for one, mask in zip(foci, masks, strict=True):
        whole[one.box] |= mask
    return whole


def _chain(cohort: Cohort, maps: Sequence[VoxelPrediction], judge: Judge | None) -> dict[str, Scores]:
    """Score what the way from study to table calls malignant, by "manual" and by the plain thresholds."""
    found: dict[str, list[float]] = {name: [] for name in CONVENTIONS}
    for study, prediction in zip(cohort.studies, maps, strict=True):
        for name in CONVENTIONS:
            options = CandidateOptions(contour=name, judge=judge)
            found[name].append(_dice(_malignant(study, prediction, options), study))
    return {name: np.array(values) for name, values in found.items()}


def _alone(cohort: Cohort, maps: Sequence[VoxelPrediction]) -> dict[str, Scores]:
    """Score the voxels that the network suspects, by the probability from which they count."""
    found = {}
    for least in PROBABILITIES:
        scores = [
            _dice(np.asarray(prediction.suspicious >= least), study)
            for study, prediction in zip(cohort.studies, maps, strict=True)
        ]
        found[f"probability >= {least:g}"] = np.array(scores)
    return found


def _predictor(model: Path | None) -> Callable[[Study], VoxelPrediction]:
    from fedpsma.model.checkpoint import load_network
    from fedpsma.model.inference import predict

    return partial(predict, load_network(model))


def _malignant(study: Study, prediction: VoxelPrediction, candidates: CandidateOptions) -> Mask:
    options = AnalysisOptions(candidates=candidates)
    found = describe(study, prediction, options).candidates
    return segment([one for one in found if label_of(one, options) == MALIGNANT], study)


def _tuned(cohort: Cohort, start: Path | None, minutes: float, folder: Path) -> dict[str, Scores]:
    """Train on each half and score the other: the chain, and the network's own probability as an outline.

    The probability from which a voxel counts is the one that is best on the half that was learnt from.
    """
    chain, own = np.zeros(len(cohort.studies)), np.zeros(len(cohort.studies))
    for number, (learnt, tested) in enumerate(((cohort.first, cohort.other), (cohort.other, cohort.first))):
        predict = _predictor(_trained(cohort, learnt, start, minutes, folder / str(number)))
        maps = {at: predict(cohort.studies[at]) for at in track(range(len(cohort.studies)), f"tuned model {number}")}
        threshold = max(PROBABILITIES, key=lambda one: float(np.median(_by_probability(cohort, maps, learnt, one))))
        own[tested] = _by_probability(cohort, maps, tested, threshold)
        masks = {at: _malignant(cohort.studies[at], maps[at], CandidateOptions(contour="manual")) for at in tested}
        chain[tested] = [_dice(masks[at], cohort.studies[at]) for at in tested]
    return {"manual": chain, "probability": own}


def _by_probability(
    cohort: Cohort, maps: Mapping[int, VoxelPrediction], places: NDArray[np.intp], threshold: float
) -> list[float]:
    return [_dice(np.asarray(maps[at].suspicious >= threshold), cohort.studies[at]) for at in places]


def _trained(cohort: Cohort, places: NDArray[np.intp], start: Path | None, minutes: float, folder: Path) -> Path:
    from fedpsma.model.checkpoint import load_checkpoint
    from fedpsma.training.supervised.device import compute_on
    from fedpsma.training.supervised.recipe import TrainRecipe
    from fedpsma.training.supervised.run import MODEL_FILE, train
    from fedpsma.training.supervised.task import task_of_datasets

    checkpoint = load_checkpoint(start)
    recipe = TrainRecipe(minutes=minutes, learning_rate=TUNING_RATE, slab_share=0.0, validate_every=10_000)
    dataset = _dataset(cohort, places, folder / "data")
    task = task_of_datasets([dataset], recipe, checkpoint.network, checkpoint, name="sarcomas")
    train(task, folder / "run", compute_on("auto"))
    return folder / "run" / MODEL_FILE


def _dataset(cohort: Cohort, places: NDArray[np.intp], folder: Path) -> Dataset:
    info = DatasetInfo(name="sarcomas", site="STS", contour="manual", licence="CC BY 3.0")
    list(import_studies([cohort.sources[at] for at in places], folder, info))
    return read_dataset(folder)


def _truth(study: Study) -> Mask:
    if study.lesions is None:
        raise ValueError(f"{study.study_id} has no mask")
    return study.lesions > 0


def _dice(mask: Mask, study: Study) -> float:
    truth = _truth(study)
    return float(2 * np.count_nonzero(mask & truth) / (np.count_nonzero(mask) + np.count_nonzero(truth)))


def _show(console: Console, title: str, rows: Mapping[str, Scores], cohort: Cohort) -> None:
    groups = {"first half": cohort.first, "other half": cohort.other, "all": np.arange(len(cohort.studies))}
    table = Table(title=f"{title}: median Dice with 95 % interval over patients")
    for column in ("outline", *groups, "mean of all", "Dice 0", f"bar {BAR}"):
        table.add_column(column, justify="left" if column == "outline" else "right")
    for name, scores in rows.items():
        cells = [_interval(scores[places]) for places in groups.values()]
        verdict = "hit" if float(np.median(scores)) >= BAR else "MISSED"
        table.add_row(name, *cells, f"{scores.mean():.2f}", str(np.count_nonzero(scores == 0)), verdict)
    console.print(table)


def _interval(scores: Scores) -> str:
    weights = draw_weights(scores.size, np.random.default_rng(0))
    return str(figure_of(median(weights, np.arange(scores.size), scores.tolist())))


if __name__ == "__main__":
    main()
