"""How long a whole body takes from NIfTI to the table of lesions, and how our inference compares with MONAI's.

Synthetic patients of sites A, C and D at 4 mm, each in a process of its own with two threads, as a laptop has them. The
first table is the whole way, stage by stage, with the peak memory of the process; the bars are 30 s and 4 GiB. The
second sets ``predict_grid`` beside ``monai.inferers.sliding_window_inference`` as it is usually called (windows of 64
voxels, a quarter of overlap, Gaussian weights) on the same network and the same grid; the bars are 1.5 times as fast at
a Dice at most 0.002 lower. Both run in one process, with the same settings of memory. Dice is that of the voxels
suspected with at least 0.5 against the true lesions. Where other programs use the cores too, the processor time tells
what free ones would do. Run it with ``python benchmarks/analyze.py``; where there is a GPU, a third table has the same
network on it.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from fedpsma.io.nifti import write_volume
from fedpsma.phantom.patient import PhantomOptions, draw_patient

SITES, SEED, SPACING_MM = ("A", "C", "D"), 20251, 4.0
BAR_S, BAR_GIB, BAR_RATIO, BAR_DICE = 30.0, 4.0, 1.5, 0.002
ROI, OVERLAP, WINDOWS_AT_ONCE = 64, 0.25, 4
REPEATS = 3
STAGES = ("starting", "reading", "network", "lesions", "writing")


@dataclass(frozen=True)
class Job:
    """One patient on disk and how to read him."""

    name: str
    folder: Path
    tracer: str
    model: Path | None
    threads: int


@dataclass(frozen=True)
class Speed:
    """Median seconds of several runs, by the clock and by the processor, and the Dice of the result."""

    wall: float
    processor: float
    dice: float


@dataclass(frozen=True)
class Measured:
    """What one process found: seconds by stage, its peak memory, and ours beside MONAI's, on the CPU and on a GPU."""

    name: str
    grid: tuple[int, ...]
    lesions: int
    stages: dict[str, float]
    processor: float
    peak_gib: float
    ours: Speed
    monai: Speed
    on_gpu: tuple[Speed, Speed] | None


def main() -> None:
    """Measure every patient and print the tables."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        jobs = list(_jobs(Path(folder), options))
        found = []
        for job in jobs:
            # a process of its own: peak memory never falls, and the first study pays for the start as a user does
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
                found.append(alone.submit(measure, job).result())
    console = Console(width=150)
    console.print(_chain_table(found, options.threads))
    console.print(
        _speed_table(found, f"ours beside MONAI, {options.threads} threads", lambda one: (one.ours, one.monai))
    )
    if all(one.on_gpu is None for one in found):
        console.print("no GPU here: not measured")
    else:
        console.print(_speed_table(found, "ours beside MONAI, on the GPU", lambda one: one.on_gpu))


def measure(job: Job) -> Measured:
    """Analyse one patient from his files, then let both ways of inference run on his grid."""
    clock, names = [psutil.Process().create_time()], iter(STAGES)
    stages: dict[str, float] = {}

    def lap() -> None:
        clock.append(time.time())
        stages[next(names)] = clock[-1] - clock[-2]

    import torch

    from fedpsma.analysis import AnalysisOptions, describe
    from fedpsma.analysis_folder import write_analysis
    from fedpsma.domain.tracer import Tracer
    from fedpsma.io.study_loader import load_study
    from fedpsma.lesions.candidates import CandidateOptions
    from fedpsma.lesions.judge import load_judge
    from fedpsma.model.checkpoint import judge_path, load_checkpoint, load_network
    from fedpsma.model.inference import predict
    from fedpsma.model.memory import keep_freed_memory

    torch.set_num_threads(job.threads)
    keep_freed_memory()
    card, net = load_checkpoint(job.model).card, load_network(job.model)
    judge = load_judge(judge_path(job.model), card.sha256)
    lap()
    study = load_study(
        job.folder / "pet.nii.gz", ct=job.folder / "ct.nii.gz", tracer=Tracer(job.tracer), suv_declared=True
    )
    lap()
    prediction = predict(net, study)
    lap()
    found = describe(study, prediction, AnalysisOptions(candidates=CandidateOptions(judge=judge)))
    lap()
    write_analysis(job.folder / "read", study, found, card, synthetic=True, seconds={})
    lap()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return Measured(
        name=job.name,
        grid=study.pet.shape,
        lesions=len(found.exam.lesions),
        stages=stages,
        processor=usage.ru_utime + usage.ru_stime,
        peak_gib=usage.ru_maxrss / 2**20,
        **_compared(net, study, np.load(job.folder / "truth.npy")),
    )


def _compared(net: Any, study: Any, truth: np.ndarray[Any, Any]) -> dict[str, Any]:
    import torch

    from fedpsma.evaluation.segmentation import dice
    from fedpsma.model.config import SUSPICIOUS
    from fedpsma.model.inference import predict_grid
    from fedpsma.model.inputs import to_grid, to_pet_grid

    grid = to_grid(study, net.config)

    def both() -> tuple[Speed, Speed]:
        return _timed(lambda: predict_grid(net, grid), lambda: _monai(net, grid), dice_of)

    def dice_of(voxel: Any) -> float:
        suspected = to_pet_grid(voxel[SUSPICIOUS], grid, study.pet.shape, "trilinear") >= 0.5
        return dice(truth > 0, suspected)

    ours, monai = both()
    on_gpu = None
    if torch.cuda.is_available():
        net.cuda()
        both()  # the first run chooses kernels
        on_gpu = both()
    return {"ours": ours, "monai": monai, "on_gpu": on_gpu}


def _monai(net: Any, grid: Any) -> tuple[Any, Any]:
    """Let MONAI's sliding windows run over the working grid; the same maps come out as from ``predict_grid``."""
    import torch
    from monai.inferers import sliding_window_inference

    from fedpsma.model.inputs import image_of

    device = next(net.parameters()).device
    tracer = grid.tracer[None].to(device)

    def both_heads(batch: Any) -> tuple[Any, Any]:
        logits = net(batch, tracer.expand(len(batch), -1))
        return torch.softmax(logits.voxel, dim=1), logits.anatomy

    with torch.inference_mode():
        voxel, anatomy = sliding_window_inference(
            inputs=image_of(grid.pet, grid.ct)[None].to(device),
            roi_size=(ROI,) * 3,
            sw_batch_size=WINDOWS_AT_ONCE,
            predictor=both_heads,
            overlap=OVERLAP,
            mode="gaussian",
        )
        full = torch.nn.functional.interpolate(anatomy, size=grid.pet.shape, mode="trilinear", align_corners=False)
        return voxel[0].cpu(), full[0].argmax(dim=0).cpu()


def _timed(
    ours: Callable[[], tuple[Any, Any]], monai: Callable[[], tuple[Any, Any]], dice_of: Callable[[Any], float]
) -> tuple[Speed, Speed]:
    """Let both run in turn, so that whatever else the machine does meets both."""
    walls: tuple[list[float], list[float]] = ([], [])
    processors: tuple[list[float], list[float]] = ([], [])
    maps: list[Any] = [None, None]
    for _ in range(REPEATS):
        for which, run in enumerate((ours, monai)):
            wall, processor = time.monotonic(), time.process_time()
            maps[which], _ = run()
            walls[which].append(time.monotonic() - wall)
            processors[which].append(time.process_time() - processor)
    first, second = (
        Speed(statistics.median(walls[which]), statistics.median(processors[which]), dice_of(maps[which]))
        for which in (0, 1)
    )
    return first, second


def _jobs(folder: Path, options: argparse.Namespace) -> Iterator[Job]:
    for site in SITES:
        for index in range(options.patients):
            study = draw_patient(site, index, SEED, PhantomOptions(spacing_mm=SPACING_MM)).study
            here = folder / study.study_id
            write_volume(here / "pet.nii.gz", study.pet, study.affine)
            write_volume(here / "ct.nii.gz", study.ct, study.affine)
            np.save(here / "truth.npy", study.lesions)
            yield Job(study.study_id, here, str(study.tracer), options.model, options.threads)


def _chain_table(found: list[Measured], threads: int) -> Table:
    table = Table(title=f"from NIfTI to the written table of lesions, {threads} threads, seconds by the clock")
    for column in ("patient", "grid"):
        table.add_column(column)
    for column in ("lesions", *STAGES, "all", "processor s", "peak GiB", "bar 30 s, 4 GiB"):
        table.add_column(column, justify="right")
    for one in found:
        total = sum(one.stages.values())
        hit = total <= BAR_S and one.peak_gib <= BAR_GIB
        seconds = (*(one.stages[name] for name in STAGES), total, one.processor)
        cells = (str(one.lesions), *(f"{value:.1f}" for value in seconds), f"{one.peak_gib:.2f}", _word(hit))
        table.add_row(one.name, " x ".join(map(str, one.grid)), *cells)
    return table


def _speed_table(found: list[Measured], title: str, pair: Callable[[Measured], tuple[Speed, Speed] | None]) -> Table:
    table = Table(title=f"{title} (windows of {ROI}, overlap {OVERLAP:g}, Gaussian)")
    table.add_column("patient")
    names = ("MONAI s", "ours s", "ratio", "processor ratio", "Dice MONAI", "Dice ours", "difference", "bar 1.5, 0.002")
    for column in names:
        table.add_column(column, justify="right")
    for one in found:
        speeds = pair(one)
        if speeds is not None:
            ours, monai = speeds
            ratio, gain = monai.wall / ours.wall, ours.dice - monai.dice
            # a patient without a lesion has no Dice
            hit = ratio >= BAR_RATIO and not gain < -BAR_DICE
            numbers = (
                f"{monai.wall:.2f}",
                f"{ours.wall:.2f}",
                f"{ratio:.2f}",
                f"{monai.processor / ours.processor:.2f}",
            )
            scores = (f"{monai.dice:.4f}", f"{ours.dice:.4f}", f"{gain:+.4f}")
            table.add_row(one.name, *numbers, *scores, _word(hit))
    return table


def _word(hit: bool) -> str:
    return "hit" if hit else "MISSED"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=2, help="of each site")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path, default=None, help="checkpoint; the base model if left out")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
