"""Flower's simulation runtime: sites as workers of a Ray cluster on this machine, for many sites or many GPUs."""

from __future__ import annotations

import importlib.util
import os
import warnings

from fedpsma.errors import InputError
from server.federation.app import write_project
from server.federation.superlink import ONE_THREAD
from server.flower import run_simulation_runtime
from server.run_folder import RunFolder


def run_on_ray(folder: RunFolder) -> None:
    """Run both apps on Ray; the cluster ends with the run.

    Raises:
        InputError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("needs Ray", where="--engine ray", remedy='run: pip install "fedpsma[simulation]"')
    # The workers inherit the environment of this process.
    os.environ.update(ONE_THREAD)
    path = folder.path.resolve()
    sites = len(folder.federation().sites)
    processes = max(1, min(sites, os.cpu_count() or 1))
    with warnings.catch_warnings():
        # Ray announces future versions; which devices its workers see is settled by their resources here.
        warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
        app = write_project(path / "flower" / "app", path)
        run_simulation_runtime(path, app, sites, processes, gpus_of_a_site(folder))


def gpus_of_a_site(folder: RunFolder) -> float:
    """Return the share of a GPU that a site takes; sites share one until it is full."""
    plan = folder.plan()
    return plan.gpu_share if plan.device == "cuda" else 0.0
