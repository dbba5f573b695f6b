"""What a synthetic patient costs: seconds and peak memory, in a process of its own."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np

from fedpsma.phantom.patient import PhantomOptions, draw_patient
from fedpsma.phantom.realism.targets import targets

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Cost:
    """Median seconds of a patient, and the peak memory of his process in MiB (``None``: the system does not tell)."""

    seconds: float
    memory_mib: float | None


def measure_cost() -> Cost:
    """Draw some patients in a fresh process, after one that fills the caches."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_draw_some).result()


def _draw_some() -> Cost:
    bar = targets().cost
    options = PhantomOptions(spacing_mm=bar.spacing_mm)
    seconds = []
    for index in range(bar.patients + 1):
        start = perf_counter()
        draw_patient(bar.site, index, 1, options)
        seconds.append(perf_counter() - start)
    return Cost(float(np.median(seconds[1:])), _peak_mib())


def _peak_mib() -> float | None:
    """Read the peak of this process alone; ``getrusage`` would count what its parent held."""
    if not _STATUS.exists():
        return None
    fields = dict(line.split(":", 1) for line in _STATUS.read_text("ascii").splitlines() if ":" in line)
    return float(fields["VmHWM"].split()[0]) / 1024
