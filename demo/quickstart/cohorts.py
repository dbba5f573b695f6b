"""Step 1: the patients. Training and held-out patients of a site have different indices, so they never overlap."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from demo.quickstart.chain import Workplace
from demo.quickstart.places import held_out_data, training_data
from fedpsma.phantom.cohort import write_cohort

FIRST_HELD_OUT = 1000
_WORKERS = 2


def make_cohorts(place: Workplace) -> str:
    """Write the training and the held-out data set of every site."""
    config = place.config
    jobs: list[tuple[Path, str, range]] = []
    for site in config.sites:
        jobs.append((training_data(place, site), site, range(config.training_patients)))
        jobs.append(
            (held_out_data(place, site), site, range(FIRST_HELD_OUT, FIRST_HELD_OUT + config.held_out_patients))
        )
    total = sum(len(indices) for _, _, indices in jobs)
    with place.bar() as bar, ProcessPoolExecutor(_WORKERS) as workers:
        task = bar.add_task("drawing patients", total=total)
        running = [workers.submit(_write, *job, config.seed) for job in jobs]
        for job, future in zip(jobs, running, strict=True):
            future.result()
            bar.advance(task, len(job[2]))
    return f"{total} patients at {len(config.sites)} sites, {config.held_out_patients} of each site held out"


def _write(folder: Path, site: str, indices: range, seed: int) -> None:
    write_cohort(folder, site, indices, seed)
