"""The judge of the base checkpoint, fitted on synthetic patients that the network never saw."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from fedpsma.base.recipe import PhantomJob, make_patient
from fedpsma.evaluation.origins import on_uncontoured_lesion
from fedpsma.model.checkpoint import load_network
from fedpsma.model.inference import predict
from fedpsma.training.calibration import KnownFocus, known_foci


def phantom_foci(jobs: list[PhantomJob], model: Path, workers: int = 2) -> Iterator[list[KnownFocus]]:
    """Yield the foci of each patient with their truth, in the order of the jobs."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_foci_of_patient, model), jobs, chunksize=2)


def _foci_of_patient(model: Path, job: PhantomJob) -> list[KnownFocus]:
    torch.set_num_threads(1)
    patient = make_patient(job)
    study = patient.study
    unsure = on_uncontoured_lesion(patient.truth.foci, study)
    return known_foci(study, predict(load_network(model), study), unsure)
