"""Three scanners as three sites on real tumours: 26 soft-tissue sarcomas (18F-FDG PET/CT, outlined by experts).

The studies come on three voxel grids, which stand for three hospitals. The packaged checkpoint, trained on synthetic
prostate cancer only, is fine-tuned at each site alone, by the three as one federation with a privacy loss of 8 and
without, and on all patients pooled. The mean Dice of the network by itself is taken over the held-out patients of all
sites, a third of each, over several splits. The bar is a shared model at least as good as the best single site's. So
few patients (5, 5 and 16) give a wide interval, and for five men an epsilon of 8 is a weak promise.

Run it with ``python benchmarks/sarcoma_federation.py``; the data are used where they lie beside the checkout. What is
finished in ``--folder`` is kept.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

# Read by the libraries below when they start.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from rich.console import Console
from rich.progress import track
from rich.table import Table
from sarcomas import DATA, sarcoma_sources

from fedpsma.io.dataset import DatasetInfo
from fedpsma.io.importing.source import StudySource
from fedpsma.io.importing.writer import import_studies
from fedpsma.model.checkpoint import load_checkpoint
from server.display import progress_bar
from server.simulation import SimulationConfig, simulate
from server.simulation.datasets import site_data
from server.simulation.judging import Judgement, judge
from server.simulation.report import POOLED, baselines
from server.simulation.settings import read_config

HELD_OUT = 1 / 3
RECIPE = Path("single-steps")
START, SHARED = "start", "shared"


def main() -> None:
    """Import the studies, train on every split, and print the table."""
    options = _options()
    console = Console(width=120)
    if not (options.data / "nifti").is_dir():
        console.print(f"skipped: the sarcomas do not lie in {options.data}")
        return
    sites = _sites(options.data, options.folder / "sites")
    found = [_split(seed, sites, options, console) for seed in range(options.splits)]
    console.print(_table(found, [site.name for site in sites], options))


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the sarcomas")
    parser.add_argument("--folder", type=Path, default=Path("sarcoma_federation"), help="data sets and runs; kept")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="NAME=VALUE", help="other settings")
    parser.add_argument("--epsilon", type=float, default=8.0)
    return parser.parse_args()


def _sites(data: Path, folder: Path) -> list[Path]:
    """Write one data set for each voxel size, in its order."""
    folder.mkdir(parents=True, exist_ok=True)
    by_grid: dict[str, list[StudySource]] = {}
    for source in sarcoma_sources(data, folder):
        spacing = source.read().study.spacing_mm
        by_grid.setdefault(f"grid {spacing[0]:.1f} mm", []).append(source)
    paths = []
    for name in track(sorted(by_grid), "importing"):
        path = folder / name.replace(" ", "_")
        if not path.exists():
            info = DatasetInfo(name=name, site=name, contour="manual", licence="CC BY 3.0")
            list(import_studies(by_grid[name], path, info))
        paths.append(path)
    return paths


def _split(seed: int, sites: Sequence[Path], options: Any, console: Console) -> dict[str, Judgement]:
    plain = _config(seed, sites, options, None)
    private = _config(seed, sites, options, options.epsilon)
    trainings = {SHARED: plain, f"{SHARED}, epsilon {options.epsilon:g}": private, **baselines(plain)}
    models: dict[str, Path | None] = {START: None}
    for name, config in trainings.items():
        with progress_bar(console, config.plan.rounds, f"split {seed}, {name}") as on_event:
            models[name] = simulate(config, on_event).model
    data = site_data(plain)
    return {
        name: judge(load_checkpoint(path), data, plain.out / "judged")
        for name, path in track(models.items(), f"split {seed}, judging", console=console)
    }


def _config(seed: int, sites: Sequence[Path], options: Any, epsilon: float | None) -> SimulationConfig:
    options_of_run: dict[str, Any] = {
        "datasets": list(sites),
        "out": options.folder / f"split-{seed}" / (SHARED if epsilon is None else f"epsilon-{epsilon:g}"),
        "held_out": HELD_OUT,
        "compare": epsilon is None,
        "plan.patients_per_step": 3,
        "plan.clip_norm": 1.0,
        "plan.target_epsilon": "none" if epsilon is None else epsilon,
        "plan.delta": 0.05,
        "plan.seed": seed,
    }
    return read_config(RECIPE, options_of_run, options.settings)


def _table(found: Sequence[dict[str, Judgement]], sites: Sequence[str], options: Any) -> Table:
    patients = found[0][START].together.patients
    table = Table(title=f"{len(found)} splits, {patients} held-out patients each; mean Dice of the network by itself")
    for column in ("model", "Dice", "of each split", *sites):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name in found[0]:
        each = [_dice(one[name].together.dice.value) for one in found]
        own = [_mean(_dice(one[name].sites[site.replace("_", " ")].dice.value) for one in found) for site in sites]
        cells = (f"{_mean(each):.3f}", " ".join(f"{one:.2f}" for one in each), *(f"{one:.3f}" for one in own))
        table.add_row(name if name in (START, POOLED) or name.startswith(SHARED) else f"{name} alone", *cells)
    singles = [name for name in found[0] if name.startswith("grid")]
    best = max(_mean(_dice(one[name].together.dice.value) for one in found) for name in singles)
    shared = _mean(_dice(one[SHARED].together.dice.value) for one in found)
    table.caption = f"shared over the best single site {shared - best:+.3f}: {'hit' if shared >= best else 'MISSED'}"
    return table


def _dice(value: float | None) -> float:
    return value or 0.0


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


if __name__ == "__main__":
    main()
