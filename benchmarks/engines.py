"""The same small federation under each engine, each in a process of its own: wall time, processor time, ratio.

Two sites train a small network on volumes of noise for two rounds, so what is measured is mostly what an engine costs
by itself. Run it with ``python benchmarks/engines.py``; it takes about three minutes on two cores.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from fedpsma.contract import TrainingPlan
from fedpsma.domain.tracer import Tracer
from fedpsma.io.dataset import DatasetInfo, StudyRow, write_dataset
from fedpsma.io.nifti import write_volume
from fedpsma.model.config import NetworkConfig
from server.simulation import SimulationConfig

ENGINES = ("inprocess", "ray", "flwr")
NETWORK = NetworkConfig(channels=(8, 16), norm_groups=4)
PLAN = TrainingPlan(rounds=2, steps_per_round=4, patients_per_step=2, patch_voxels=32, delta=0.05, seed=1)
EDGE = 40
CHILD = (
    "import sys\nfrom server.simulation import SimulationConfig, simulate\n"
    "print(simulate(SimulationConfig.model_validate_json(sys.argv[1])).model_sha256)"
)


def main() -> None:
    """Measure every engine and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        datasets = tuple(_site(place / name, name) for name in ("north", "south"))
        initial = _initial(place / "initial.safetensors")
        found = {
            engine: _measure(
                SimulationConfig(datasets=datasets, out=place / engine, plan=PLAN, engine=engine, init=initial)
            )
            for engine in ENGINES
        }
    _show(found)


def _measure(config: SimulationConfig) -> tuple[float, float, str]:
    """Return wall seconds, processor seconds of all processes that ended, and the fingerprint of the model."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    before, started = _cpu_s(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, config.model_dump_json()],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return time.monotonic() - started, _cpu_s() - before, done.stdout.split()[-1]


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _show(found: dict[str, tuple[float, float, str]]) -> None:
    table = Table(title="two sites, two rounds, everything from the start of the process to its end")
    for column in ("engine", "wall s", "ratio", "processor s", "same weights"):
        table.add_column(column, justify="left" if column == "engine" else "right")
    wall, _, reference = found["inprocess"]
    for engine, (seconds, cpu, sha256) in found.items():
        # Processes that Flower and Ray detach are not waited for, so their processor time is not in the figure.
        known = f"{cpu:.1f}" if engine == "inprocess" else f"> {cpu:.1f}"
        same = "yes" if sha256 == reference else "NO"
        table.add_row(engine, f"{seconds:.1f}", f"{seconds / wall:.2f}", known, same)
    Console().print(table)


def _site(folder: Path, name: str) -> Path:
    rng = np.random.default_rng(len(name))
    mask = np.zeros((EDGE,) * 3, np.int16)
    mask[18:22, 18:22, 18:22] = 1
    folder.mkdir()
    rows = []
    for number in range(4):
        pet = rng.uniform(0.3, 1.5, mask.shape).astype(np.float32) + 9 * mask
        for kind, volume in {"pet": pet, "mask": mask}.items():
            write_volume(folder / f"{number}_{kind}.nii.gz", volume, np.diag([4.0, 4.0, 4.0, 1.0]))
        rows.append(
            StudyRow(
                id=str(number),
                patient=str(number),
                pet=f"{number}_pet.nii.gz",
                mask=f"{number}_mask.nii.gz",
                spacing=(4.0, 4.0, 4.0),
            )
        )
    info = DatasetInfo(name=name, site=name, tracer=next(iter(Tracer)), contour="manual", synthetic=True)
    write_dataset(folder, info, rows)
    return folder


def _initial(path: Path) -> Path:
    import torch

    from fedpsma.model.checkpoint import ModelCard, save_checkpoint, weights_of
    from fedpsma.model.network import LesionNet

    torch.manual_seed(0)
    card = ModelCard(name="untrained", data="none", recipe={}, metrics={})
    save_checkpoint(path, NETWORK, weights_of(LesionNet(NETWORK)), card)
    return path


if __name__ == "__main__":
    main()
