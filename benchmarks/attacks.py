"""What one bad site of five does to the shared model: federated averaging without checks, and robust strategies.

Five unlike sites of synthetic patients; the first one attacks. Every strategy is also run without an attack, and the
loss is that of lesion average precision on the held-out patients of all sites against its own honest run. The bar for a
robust strategy is a loss of at most 0.02 against every kind. Federated averaging runs with the check of norms switched
off, to show the damage; a reply that is not finite is always set aside, so for it the mean that Flower would have made
is given. All start from a checkpoint whose lesion head is drawn anew: an honest federation learns it in a few steps,
and what an attack takes from it can be seen. ``--keep-head`` leaves the head as it is.
Run it with ``python benchmarks/attacks.py``; ``--toy`` tries it in minutes with a network that knows nothing.
Finished runs in ``--folder`` are kept and not run again.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read by the libraries below when they start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table

from fedpsma.contract import TrainingPlan
from fedpsma.model.checkpoint import ModelCard, load_checkpoint, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.phantom.cohort import write_cohort
from fedpsma.phantom.patient import PhantomOptions
from fedpsma.training.subject import Figures
from server.display import progress_bar
from server.failures import FederationError
from server.participation import Participation
from server.simulation import SimulationConfig, simulate
from server.simulation.datasets import site_data
from server.simulation.judging import judge

SITES = "ABCDE"
SEED = 20501
ATTACKS = ("nan", "scaled", "sign_flip", "label_flip")
HEAD = "voxel_head."
PLAIN, ROBUST = "fedavg", ("fedmedian", "trimmed_mean", "multi_krum")
BAR = 0.02
# Who finds nothing without an attack has nothing to lose.
LEAST_AP = 0.2


@dataclass(frozen=True)
class Setup:
    """Where the sites lie and how they train."""

    folder: Path
    datasets: tuple[Path, ...]
    init: Path | None
    plan: TrainingPlan


def main() -> None:
    """Make the sites, run every strategy under every attack, and print the table."""
    options = _options()
    console = Console()
    setup = _setup(options, console)
    table = _table()
    for strategy in (PLAIN, *options.strategies):
        honest: Figures | None = None
        for attack in (None, *options.attacks):
            if strategy == PLAIN and attack == "nan":
                table.add_row(f"{PLAIN} (unchecked)", attack, str(_mean_with_nan()), "everything")
                continue
            try:
                found = _run(setup, strategy, attack, console)
            except FederationError:
                table.add_row(strategy, attack or "none", "too few valid updates", "the run fails", "MISSED")
                continue
            honest = honest or found
            table.add_row(*_row(strategy, attack, found, honest))
    console.print(table)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("attacks"), help="patients and runs; kept")
    parser.add_argument("--patients", type=int, default=16, help="of each site, a quarter held out")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=8, help="of a site in a round")
    parser.add_argument("--patients-per-step", type=float, default=6.0, help="of a site")
    parser.add_argument("--patches", type=int, default=2, help="of a patient in a step")
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--optimizer", default="adam", choices=("sgd", "adam"))
    parser.add_argument("--scope", default="adaptive", choices=("adaptive", "all"))
    parser.add_argument("--epsilon", type=float, help="privacy loss of each site; without privacy when left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--init", type=Path, help="checkpoint to start from; the base checkpoint when left out")
    parser.add_argument("--keep-head", action="store_true", help="start from the checkpoint as it is")
    parser.add_argument("--strategies", nargs="*", default=ROBUST, help="robust ones")
    parser.add_argument("--attacks", nargs="*", default=ATTACKS, choices=ATTACKS)
    parser.add_argument("--toy", action="store_true", help="coarse voxels, four patients, a tiny network")
    return parser.parse_args()


def _setup(options: Any, console: Console) -> Setup:
    patients = 4 if options.toy else options.patients
    init = _toy_checkpoint(options.folder) if options.toy else _start(options)
    grid_mm = load_checkpoint(init).network.grid_mm
    with console.status("making patients"):
        for site in SITES:
            made = PhantomOptions(spacing_mm=grid_mm)
            write_cohort(options.folder / "sites" / site, site, range(patients), SEED, options=made)
    plan = TrainingPlan(
        rounds=2 if options.toy else options.rounds,
        steps_per_round=2 if options.toy else options.steps,
        patients_per_step=min(options.patients_per_step, patients / 2),
        patches_per_patient=options.patches,
        patch_voxels=16 * round((128 if options.toy else 192) / grid_mm / 16),
        learning_rate=options.learning_rate,
        optimizer=options.optimizer,
        target_epsilon=options.epsilon,
        delta=0.5 / patients,
        scope=options.scope,
        seed=options.seed,
    )
    return Setup(options.folder, tuple(options.folder / "sites" / site for site in SITES), init, plan)


def _toy_checkpoint(folder: Path) -> Path:
    from fedpsma.model.network import build

    config = NetworkConfig(channels=(8, 8), norm_groups=4, grid_mm=8.0)
    path = folder / "toy.safetensors"
    card = ModelCard(name="untrained", data="none", recipe={}, metrics={})
    save_checkpoint(path, config, weights_of(build(config)), card)
    return path


def _start(options: Any) -> Path | None:
    """Write the checkpoint with a new lesion head and return it."""
    if options.keep_head:
        return Path(options.init) if options.init else None
    from fedpsma.model.network import build

    known = load_checkpoint(options.init)
    drawn = {name: array for name, array in weights_of(build(known.network)).items() if name.startswith(HEAD)}
    path = Path(options.folder) / "start.safetensors"
    card = ModelCard(name=f"{known.card.name}, new lesion head", data=known.card.data, recipe={}, metrics={})
    save_checkpoint(path, known.network, {**known.weights, **drawn}, card)
    return path


def _run(setup: Setup, strategy: str, attack: str | None, console: Console) -> Figures:
    config = SimulationConfig.model_validate(
        {
            "datasets": setup.datasets,
            "out": setup.folder / f"{strategy}-{attack or 'honest'}",
            "init": setup.init,
            "plan": setup.plan,
            "strategy": strategy,
            "attack": attack,
            "held_out": 0.25,
            "participation": Participation(norm_limit=None) if strategy == PLAIN else Participation(),
        }
    )
    with progress_bar(console, setup.plan.rounds, config.out.name) as on_event:
        result = simulate(config, on_event)
    return judge(load_checkpoint(result.model), site_data(config), config.out / "judged").together


def _table() -> Table:
    table = Table(title="one attacker of five, held-out synthetic patients of all sites")
    for column in ("strategy", "attack", "lesion AP", "loss of AP", f"bar {BAR}", "Dice"):
        table.add_column(column, justify="left" if column in ("strategy", "attack") else "right")
    return table


def _row(strategy: str, attack: str | None, found: Figures, honest: Figures) -> list[str]:
    name = f"{strategy} (unchecked)" if strategy == PLAIN else strategy
    before, after = (one.average_precision.value or 0.0 for one in (honest, found))
    loss = before - after
    verdict = "" if strategy == PLAIN or attack is None else "hit" if loss <= BAR else "MISSED"
    if verdict and before < LEAST_AP:
        verdict = "not judged"
    return [name, attack or "none", str(found.average_precision), f"{loss:+.3f}", verdict, str(found.dice)]


def _mean_with_nan() -> float:
    """Return what Flower's FedAvg makes of four good updates and one that is not a number."""
    from server.flower import FlowerRule, combine, take_identity

    take_identity()
    updates = [{"a": np.full(1, value)} for value in (1.0, 1.0, 1.0, 1.0, np.nan)]
    return float(combine(FlowerRule("FedAvg"), 1, updates)["a"][0])


if __name__ == "__main__":
    main()
