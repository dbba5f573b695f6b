"""What the in-process engine costs beside a hand-written loop, and how it grows with the number of sites.

First table: the same training of the same sites with the same seed, once as a plain loop over rounds and sites with a
mean of the weights, once as a whole simulation with messages, checks, ledger, checkpoints and events. Each runs in a
process of its own, in turns; processor time without the imports, and peak memory of the process. The bars are 1.15 for
both, and the weights have to agree. Second table: 10 to 100 sites of five patients; the bars are a time within 1.2 of
linear and a peak memory that stays flat (within 1.1 of that of the smallest federation). Run it with
``python benchmarks/federation_cost.py``; ``--toy`` makes everything small.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fedpsma.contract import TrainingPlan
from fedpsma.domain.tracer import Tracer
from fedpsma.io.dataset import DatasetInfo, StudyRow, read_dataset, write_dataset
from fedpsma.io.nifti import write_volume
from fedpsma.model.checkpoint import ModelCard, load_checkpoint, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from server.simulation import SimulationConfig

NETWORK = NetworkConfig(channels=(16, 32, 64), norm_groups=4)
BAR, LINEAR_BAR, FLAT_BAR = 1.15, 1.2, 1.1
PATIENTS = 5
REPEATS = 3


def main() -> None:
    """Measure both and print the tables."""
    options = _options()
    if options.child:
        _child(options.child, SimulationConfig.model_validate_json(options.config))
        return
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        _compare(Path(folder), options, console)
        _scale(Path(folder), options, console)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, nargs="+", default=[10, 25, 50, 100], help="sizes of the second table")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--toy", action="store_true", help="patches of 16 voxels and few sites")
    parser.add_argument("--child", choices=("loop", "engine"), help=argparse.SUPPRESS)
    parser.add_argument("--config", help=argparse.SUPPRESS)
    return parser.parse_args()


def _compare(folder: Path, options: Any, console: Console) -> None:
    found: dict[str, list[dict[str, Any]]] = {"loop": [], "engine": []}
    sites = _sites(folder / "three", 3)
    for turn in track(range(options.repeats), "loop and engine in turns", console=console):
        for kind, runs in found.items():
            config = _config(sites, folder / f"{kind}-{turn}", rounds=2, steps=4, toy=options.toy)
            runs.append(_measured(kind, config))
    table = Table(title="three sites, two rounds of four steps; medians")
    for column in ("", "processor s", "ratio", "peak MiB", "ratio", f"bar {BAR}", "largest difference of a weight"):
        table.add_column(column, justify="right")
    cpu = {kind: statistics.median(run["cpu_s"] for run in runs) for kind, runs in found.items()}
    memory = {kind: statistics.median(run["peak_mib"] for run in runs) for kind, runs in found.items()}
    difference = _difference(found)
    for kind in found:
        times, sizes = cpu[kind] / cpu["loop"], memory[kind] / memory["loop"]
        verdict = "" if kind == "loop" else "hit" if max(times, sizes) <= BAR else "MISSED"
        last = "" if kind == "loop" else f"{difference:.1e}"
        table.add_row(kind, f"{cpu[kind]:.2f}", f"{times:.2f}", f"{memory[kind]:.0f}", f"{sizes:.2f}", verdict, last)
    console.print(table)


def _difference(found: dict[str, list[dict[str, Any]]]) -> float:
    loop, engine = (load_checkpoint(Path(found[kind][0]["model"])).weights for kind in ("loop", "engine"))
    return max(float(np.max(np.abs(loop[name] - engine[name]))) for name in loop)


def _scale(folder: Path, options: Any, console: Console) -> None:
    table = Table(title=f"sites of {PATIENTS} patients, two rounds of one step")
    for column in ("sites", "processor s", "of a site", f"of linear, bar {LINEAR_BAR}", "peak MiB", f"bar {FLAT_BAR}"):
        table.add_column(column, justify="right")
    numbers = [2, 4] if options.toy else options.sites
    first: dict[str, Any] = {}
    for number in track(numbers, "growing federations", console=console):
        sites = _sites(folder / f"sites-{number}", number)
        run = _measured("engine", _config(sites, folder / f"scale-{number}", rounds=2, steps=1, toy=options.toy))
        first = first or {**run, "sites": number}
        linear = run["cpu_s"] / number / (first["cpu_s"] / first["sites"])
        flat = run["peak_mib"] / first["peak_mib"]
        cells = [f"{run['cpu_s']:.1f}", f"{run['cpu_s'] / number:.2f}", f"{linear:.2f} {_verdict(linear, LINEAR_BAR)}"]
        table.add_row(str(number), *cells, f"{run['peak_mib']:.0f}", f"{flat:.2f} {_verdict(flat, FLAT_BAR)}")
    console.print(table)


def _verdict(ratio: float, bar: float) -> str:
    return "hit" if ratio <= bar else "MISSED"


def _measured(kind: str, config: SimulationConfig) -> dict[str, Any]:
    arguments = [sys.executable, __file__, "--child", kind, "--config", config.model_dump_json()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _child(kind: str, config: SimulationConfig) -> None:
    """Train in this process and print what it took; what both need is imported before the clock starts."""
    import client.training
    import server.engines.inprocess  # noqa: F401
    from server.simulation import simulate

    assert client.training
    started = time.process_time()
    model = simulate(config).model if kind == "engine" else _loop(config)
    cpu_s = time.process_time() - started
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_s": cpu_s, "peak_mib": peak_mib, "model": str(model)}))


def _loop(config: SimulationConfig) -> Path:
    """Federated averaging as anybody would write it: no messages, no checks, no ledger, no files but the model."""
    from fedpsma.training.site_round import train_round

    checkpoint = load_checkpoint(config.init)
    weights = checkpoint.weights
    sites = [read_dataset(path) for path in config.datasets]
    for number in range(1, config.plan.rounds + 1):
        trained = [
            train_round(weights, site, config.plan, number, site.info.site, network=checkpoint.network).weights
            for site in sites
        ]
        weights = {name: np.mean([one[name] for one in trained], axis=0, dtype=np.float64) for name in weights}
        weights = {name: array.astype(np.float32) for name, array in weights.items()}
    path = config.out / "loop.safetensors"
    save_checkpoint(path, checkpoint.network, weights, checkpoint.card)
    return path


def _config(sites: tuple[Path, ...], out: Path, *, rounds: int, steps: int, toy: bool) -> SimulationConfig:
    plan = TrainingPlan(
        rounds=rounds,
        steps_per_round=steps,
        patients_per_step=2,
        patch_voxels=16 if toy else 48,
        delta=0.05,
        scope="all",
        seed=1,
    )
    return SimulationConfig(datasets=sites, out=out, plan=plan, init=_initial(out.parent / "initial.safetensors"))


def _sites(folder: Path, count: int) -> tuple[Path, ...]:
    """Write sites that all name the same volumes, so that the disk holds them once."""
    edge, rng = 56, np.random.default_rng(1)
    mask = np.zeros((edge,) * 3, np.int16)
    mask[24:30, 24:30, 24:30] = 1
    for number in range(PATIENTS):
        pet = rng.uniform(0.3, 1.5, mask.shape).astype(np.float32) + 9 * mask
        for kind, volume in {"pet": pet, "mask": mask}.items():
            write_volume(folder / f"{number}_{kind}.nii.gz", volume, np.diag([4.0, 4.0, 4.0, 1.0]))
    return tuple(_site(folder, f"s{number:03d}") for number in range(count))


def _site(folder: Path, name: str) -> Path:
    rows = [
        StudyRow(
            id=f"{name}-{number}",
            patient=f"{name}-{number}",
            pet=f"../{number}_pet.nii.gz",
            mask=f"../{number}_mask.nii.gz",
            spacing=(4.0, 4.0, 4.0),
        )
        for number in range(PATIENTS)
    ]
    info = DatasetInfo(name=name, site=name, tracer=next(iter(Tracer)), contour="manual", synthetic=True)
    write_dataset(folder / name, info, rows)
    return folder / name


def _initial(path: Path) -> Path:
    from fedpsma.model.network import build

    if not path.exists():
        card = ModelCard(name="untrained", data="none", recipe={}, metrics={})
        save_checkpoint(path, NETWORK, weights_of(build(NETWORK)), card)
    return path


if __name__ == "__main__":
    main()
