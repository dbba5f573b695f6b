"""The judge of the base checkpoint, fitted on synthetic patients that the network never saw."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from fedpsma.base.recipe import PhantomJob, make_patient
from fedpsma.lesions.facts import facts_of
from fedpsma.lesions.foci import FocusOptions, find_foci
from fedpsma.lesions.locate import hot_core, place
from fedpsma.lesions.references import measure_references
from fedpsma.model.checkpoint import load_network
from fedpsma.model.inference import predict
from fedpsma.domain.study import Study, VoxelPrediction
from fedpsma.training.calibration import KnownFocus


def known_foci(jobs: list[PhantomJob], model: Path, workers: int = 2) -> Iterator[list[KnownFocus]]:
    """Yield the foci of each patient with their truth, in the order of the jobs."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_foci_of_patient, model), jobs, chunksize=2)


def known_foci_of(study: Study, prediction: VoxelPrediction, options: FocusOptions | None = None) -> list[KnownFocus]:
    """Return the foci of a study with a lesion mask; malignant is one whose hot core holds a voxel of a lesion."""
    references = measure_references(study, prediction)
    found = []
    for focus in find_foci(study, prediction, options):
        facts = facts_of(focus, place(focus, study, prediction), study, prediction, references)
        malignant = bool((study.lesions[focus.box][hot_core(focus, study.pet)] > 0).any())
        found.append(KnownFocus(facts, malignant, study.patient_id))
    return found


def _foci_of_patient(model: Path, job: PhantomJob) -> list[KnownFocus]:
    torch.set_num_threads(1)
    study = make_patient(job).study
    return known_foci_of(study, predict(load_network(model), study))
