"""Flower's simulation runtime: sites as workers of a Ray cluster on this machine, for many sites or many GPUs."""

from __future__ import annotations

import importlib.util
import json
import os
import warnings
from pathlib import Path

from fedpsma import __version__
from fedpsma.errors import InputError
from fedpsma.io.files import write_text
from server.flower import CLIENT_APP, SERVER_APP, run_simulation_runtime
from server.run_folder import RunFolder

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run_on_ray(folder: RunFolder) -> None:
    """Run both apps on Ray; the cluster ends with the run.

    Raises:
        InputError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("needs Ray", where="--engine ray", remedy='run: pip install "fedpsma[simulation]"')
    # The workers inherit the environment of this process.
    os.environ.update(ONE_THREAD)
    sites = len(folder.federation().sites)
    processes = max(1, min(sites, os.cpu_count() or 1))
    with warnings.catch_warnings():
        # Ray announces future versions; which devices its workers see is settled by their resources here.
        warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
        run_simulation_runtime(folder.path.resolve(), _app_folder(folder), sites, processes, gpus_of_a_site(folder))


def gpus_of_a_site(folder: RunFolder) -> float:
    """Return the share of a GPU that a site takes; sites share one until it is full."""
    plan = folder.plan()
    return plan.gpu_share if plan.device == "cuda" else 0.0


def _app_folder(folder: RunFolder) -> Path:
    """Write the folder from which Flower tells its virtual nodes the run configuration."""
    app = folder.path.resolve() / "flower" / "app"
    lines = (
        "[project]",
        'name = "fedpsma"',
        f'version = "{__version__}"',
        "[tool.flwr.app]",
        'publisher = "fedpsma"',
        "[tool.flwr.app.components]",
        f'serverapp = "{SERVER_APP}"',
        f'clientapp = "{CLIENT_APP}"',
        "[tool.flwr.app.config]",
        f"run-folder = {json.dumps(str(folder.path.resolve()), ensure_ascii=False)}",
    )
    write_text(app / "pyproject.toml", "\n".join(lines) + "\n")
    return app
