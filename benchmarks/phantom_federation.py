"""What five unlike sites win by training together, and what privacy takes from it: synthetic patients, several seeds.

Five sites with scanners, tracers, disease and contour rules of their own fine-tune one checkpoint: each alone, all as
one federation, and all patients pooled in one place, every patient drawn as often. Then the federation again with a
privacy loss of 8, 3 and 1 for every patient of a site. All are judged on held-out patients of all sites mixed (Dice and
average precision of the network by itself, the latter of all lesions together, of which sites C and E have most,
and with every patient weighing the same). Every seed has patients, split and draws of its own. The bars are the mean
over the seeds: shared within 0.01 of pooled; 0.05 of average precision over the mean single site and above the
best one; a loss of at most 0.03 at epsilon 8 and 0.06 at 3. The figures of the worst site stand beside.

They start from what public data would give: a small network on a grid of 6 mm, trained on FDG of two scanners and
18F-PSMA-1007 of one; ``--start base`` takes the packaged checkpoint, which was trained on patients like those of all
sites.
Run it with ``python benchmarks/phantom_federation.py``, an hour of one core for each seed; what is finished in
``--folder`` is kept. When the start is trained, seeds can be run side by side with ``--only SEED --start
FOLDER/start/model.safetensors`` and shown together afterwards; ``--toy`` shows only that it runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read by the libraries below when they start.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fedpsma.domain.tracer import Tracer
from fedpsma.model.checkpoint import load_checkpoint
from fedpsma.model.config import NetworkConfig
from fedpsma.phantom.cohort import write_cohort
from fedpsma.phantom.patient import PhantomOptions
from fedpsma.training.lesion_subject import LesionSubject
from fedpsma.training.subject import Measure
from server.display import progress_bar
from server.simulation import SimulationConfig, simulate
from server.simulation.datasets import site_data
from server.simulation.judging import Judgement, judge
from server.simulation.report import POOLED, baselines
from server.simulation.settings import read_config

SITES = "ABCDE"
# Scanner and tracer of what stands for public data.
PUBLIC = (("C", Tracer.FDG), ("D", Tracer.FDG), ("D", Tracer.PSMA_1007))
PUBLIC_SEED, FIRST_SEED = 30_000, 31_000
NEAR_POOLED, OVER_SINGLE = 0.01, 0.05
LOSS_BARS = {8.0: 0.03, 3.0: 0.06}
# Coarser and smaller than the packaged network, for there are thirty trainings, and as many models to be judged.
NETWORK = NetworkConfig(channels=(16, 32, 64, 64), grid_mm=6.0)
TOY = NetworkConfig(channels=(8, 8), norm_groups=4, grid_mm=8.0)
START, SHARED = "start", "shared"


def main() -> None:
    """Make patients, train everything and print the tables."""
    options = _options()
    console = Console(width=120)
    start = _start(options, console)
    seeds = range(options.seeds) if options.only is None else [options.only]
    found = [_judged(seed, start, options, console) for seed in seeds]
    for measure in LesionSubject.yardstick.measures[:2]:
        console.print(_table(found, measure, options))
    console.print(_site_table(found))


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("phantom_federation"), help="patients and runs; kept")
    parser.add_argument("--start", default="public", help="public, base, or a checkpoint")
    parser.add_argument("--public-steps", type=int, default=2500, help="training steps of the public start")
    parser.add_argument("--patients", type=int, default=32, help="of each site")
    parser.add_argument("--held-out", type=int, default=8, help="of them, patients that nobody trains on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", type=int, metavar="SEED", help="only this seed")
    parser.add_argument("--epsilon", type=float, nargs="*", default=[8.0, 3.0, 1.0])
    parser.add_argument("--recipe", type=Path, default=Path("single-steps"), help="as simulate --config takes it")
    parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="NAME=VALUE", help="other settings")
    parser.add_argument(
        "--private", nargs="*", default=[], metavar="NAME=VALUE", help="settings that differ with privacy"
    )
    parser.add_argument("--without-baselines", action="store_true", help="what privacy takes from the federation only")
    parser.add_argument("--toy", action="store_true", help="coarse voxels, few patients, a tiny network")
    return parser.parse_args()


def _start(options: Any, console: Console) -> Path | None:
    if options.start != "public":
        return None if options.start == "base" else Path(options.start)
    from fedpsma.training.supervised.device import compute_on
    from fedpsma.training.supervised.recipe import TrainRecipe
    from fedpsma.training.supervised.run import MODEL_FILE, Watch, train
    from fedpsma.training.supervised.task import task_of_datasets

    network = TOY if options.toy else NETWORK
    datasets = []
    with console.status("making public patients"):
        for site, tracer in PUBLIC:
            made = PhantomOptions(spacing_mm=network.grid_mm, tracer=tracer)
            folder = options.folder / "public" / f"{site}-{tracer.value}"
            datasets.append(write_cohort(folder, site, range(_patients(options)), PUBLIC_SEED, options=made))
    steps = 2 if options.toy else options.public_steps
    recipe = TrainRecipe(
        steps=steps, patch_voxels=_patch(network), patients_per_step=1, validate_every=max(1, steps // 2)
    )
    task = task_of_datasets(datasets, recipe, network, None, name="public start")
    out = options.folder / "start"
    with Progress(console=console, transient=True) as bar:
        shown = bar.add_task("public start", total=1.0)
        train(task, out, compute_on("auto"), Watch(on_step=lambda share, *_: bar.update(shown, completed=share)))
    return Path(out / MODEL_FILE)


def _patch(network: NetworkConfig) -> int:
    """Return the edge of a patch in voxels: about 19 cm."""
    return 16 if network == TOY else 16 * round(192 / network.grid_mm / 16)


def _patients(options: Any) -> int:
    return 5 if options.toy else int(options.patients)


def _held_out(options: Any) -> int:
    return 1 if options.toy else int(options.held_out)


@dataclass(frozen=True)
class _Found:
    """What was judged with one seed, by the name of the model."""

    models: Mapping[str, Judgement]
    paid: Mapping[str, float]

    def precision(self, name: str, measure: Measure) -> float:
        return self.models[name].together.of(measure).value or 0.0

    def dice(self, name: str) -> float:
        return self.models[name].together.dice.value or 0.0

    def singles(self, measure: Measure) -> list[float]:
        return [self.precision(name, measure) for name in SITES]


def _judged(seed: int, start: Path | None, options: Any, console: Console) -> _Found:
    config = _config(seed, start, options, None)
    models: dict[str, Path | None] = {START: start}
    paid: dict[str, float] = {}
    others = {} if options.without_baselines else baselines(config)
    for name, one in {SHARED: config, **others}.items():
        models[name] = _trained(one, f"seed {seed}, {name}", console)[0]
    for epsilon in options.epsilon:
        name = _private(epsilon)
        models[name], paid[name] = _trained(_config(seed, start, options, epsilon), f"seed {seed}, {name}", console)
    sites = site_data(config)
    studies = len(models) * sum(len(one.held_out.rows) for one in sites if one.held_out)
    with Progress(console=console, transient=True) as bar:
        shown = bar.add_task(f"seed {seed}, judging", total=studies)
        judged = {
            name: judge(load_checkpoint(path), sites, config.out / "judged", on_item=lambda: bar.advance(shown))
            for name, path in models.items()
        }
    return _Found(judged, paid)


def _config(seed: int, start: Path | None, options: Any, epsilon: float | None) -> SimulationConfig:
    """Return the federation of a seed, without privacy for ``None``."""
    place = options.folder / f"seed-{seed}"
    network = load_checkpoint(start).network
    made = PhantomOptions(spacing_mm=network.grid_mm)
    for site in SITES:
        write_cohort(place / "sites" / site, site, range(_patients(options)), FIRST_SEED + seed, options=made)
    options_of_run: dict[str, Any] = {
        "datasets": [place / "sites" / site for site in SITES],
        "out": place / (SHARED if epsilon is None else f"epsilon-{epsilon:g}"),
        "init": start,
        "held_out": _held_out(options) / _patients(options),
        "compare": epsilon is None,
        "plan.patch_voxels": _patch(network),
        "plan.target_epsilon": "none" if epsilon is None else epsilon,
        "plan.delta": 0.5 / _patients(options),
        "plan.seed": seed,
    }
    if options.toy:
        options_of_run |= {"plan.rounds": 2, "plan.patients_per_step": 2}
    settings = options.settings if epsilon is None else [*options.settings, *options.private]
    return read_config(options.recipe, options_of_run, settings)


def _trained(config: SimulationConfig, title: str, console: Console) -> tuple[Path, float]:
    """Return the model of a training and the most that any site's patients paid for it."""
    with progress_bar(console, config.plan.rounds, title) as on_event:
        result = simulate(config, on_event)
    return result.model, max((one.epsilon or 0.0) for one in result.sites)


def _private(epsilon: float) -> str:
    return f"epsilon {epsilon:g}"


def _table(found: Sequence[_Found], measure: Measure, options: Any) -> Table:
    """Show the models as means over the seeds, with the bar of each and whether it was hit."""
    title = f"{len(found)} seeds, means; held-out synthetic patients of all sites, the network by itself"
    table = Table(title=title)
    for column in ("model", measure.title, "of each seed", "Dice", "paid epsilon", "bar", ""):
        table.add_column(column, justify="left" if column in ("model", "bar", "") else "right")
    bars = _bars(found, measure, options)
    for name in found[0].models:
        each = [one.precision(name, measure) for one in found]
        paid = f"{max(one.paid[name] for one in found):.2f}" if name in found[0].paid else ""
        dice = _mean(one.dice(name) for one in found)
        label = f"{name} alone" if name in SITES else name
        cells = (f"{_mean(each):.3f}", " ".join(f"{one:.2f}" for one in each), f"{dice:.3f}", paid)
        table.add_row(label, *cells, *bars.pop(name, ("", "")))
    for name, (bar, verdict) in bars.items():
        table.add_row(name, *[""] * 4, bar, verdict)
    return table


def _bars(found: Sequence[_Found], measure: Measure, options: Any) -> dict[str, tuple[str, str]]:
    shared = _mean(one.precision(SHARED, measure) for one in found)
    rows = {} if options.without_baselines else _bars_of_sharing(found, measure, shared)
    for epsilon in options.epsilon:
        loss = shared - _mean(one.precision(_private(epsilon), measure) for one in found)
        bar = LOSS_BARS.get(epsilon)
        told = f"loss {loss:+.3f}" + (f"; <= {bar}" if bar else "")
        rows[_private(epsilon)] = (told, "" if bar is None else _verdict(loss <= bar))
    return rows


def _bars_of_sharing(found: Sequence[_Found], measure: Measure, shared: float) -> dict[str, tuple[str, str]]:
    apart = shared - _mean(one.precision(POOLED, measure) for one in found)
    dice_apart = _mean(one.dice(SHARED) - one.dice(POOLED) for one in found)
    single = shared - _mean(_mean(one.singles(measure)) for one in found)
    best = shared - _mean(max(one.singles(measure)) for one in found)
    near = max(-apart, -dice_apart) <= NEAR_POOLED
    return {
        POOLED: (f"shared {apart:+.3f} AP, {dice_apart:+.3f} Dice; >= -{NEAR_POOLED}", _verdict(near)),
        "shared over the mean single site": (f"{single:+.3f}; >= +{OVER_SINGLE}", _verdict(single >= OVER_SINGLE)),
        "shared over the best single site": (f"{best:+.3f}; > 0", _verdict(best > 0)),
    }


def _site_table(found: Sequence[_Found]) -> Table:
    """Show the average precision on each site's own held-out patients, and which site fares worst."""
    table = Table(title="lesion AP on each site's own held-out patients, means over the seeds")
    table.add_column("model")
    for column in (*SITES, "worst"):
        table.add_column(column, justify="right")
    for name in found[0].models:
        own = [_mean(one.models[name].sites[site].average_precision.value or 0.0 for one in found) for site in SITES]
        worst = SITES[own.index(min(own))]
        table.add_row(name, *(f"{one:.3f}" for one in own), f"{worst} {min(own):.3f}")
    return table


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _verdict(hit: bool) -> str:
    return "hit" if hit else "MISSED"


if __name__ == "__main__":
    main()
