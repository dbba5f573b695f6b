"""Sites that outline lesions by different rules: what it helps to learn nothing from the edges on which they disagree.

Synthetic sites with their own rules train one small network by plain federated averaging, once on the edges as each
site drew them and once with the disputed ones left out (``contours`` of the plan), from the same weights and draws.
Held-out patients of all sites together: lesion average precision and Dice of the network by itself, on the working
grid, by each site's own masks, as means over seeds with the difference of each seed. Run it with ``python
benchmarks/conventions.py``; ``--toy`` shows only that it runs.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from fedpsma.contract import TrainingPlan
from fedpsma.io.dataset import Dataset
from fedpsma.model.checkpoint import Weights, apply_weights, load_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.inputs import GridStudy, to_grid
from fedpsma.model.network import LesionNet, build
from fedpsma.phantom.cohort import write_cohort
from fedpsma.phantom.patient import PhantomOptions
from fedpsma.training.site_round import train_round
from fedpsma.training.validation import score_study, summary

AS_DRAWN, AGREED = "as each site drew them", "disputed edges left out"
FIGURES = ("lesion_average_precision", "mean_dice_of_studies_with_lesions", "lesion_sensitivity")


def main() -> None:
    """Train both ways with every seed and print the table."""
    options = _options()
    sites, held_out = _patients(options)
    found: dict[str, list[dict[str, float | None]]] = {AS_DRAWN: [], AGREED: []}
    for seed in range(options.seeds):
        for name, scores in found.items():
            contours = tuple(sorted({one.info.contour for one in sites})) if name == AGREED else ()
            weights, network = _train(sites, _plan(options, seed).model_copy(update={"contours": contours}), options)
            scores.append(_score(weights, network, held_out))
    Console(width=140).print(_table(found, sites, len(held_out)))


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/conventions"), help="folder of the patients")
    parser.add_argument("--sites", default="BCD", help="synthetic sites: A manual, B suv3, C pct45, D pct41, E liver")
    parser.add_argument("--patients", type=int, default=16, help="of each site, to learn from")
    parser.add_argument("--held-out", type=int, default=6, help="of each site, to test on")
    parser.add_argument("--spacing", type=float, default=4.0, help="PET voxel and working grid in mm")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--epsilon", type=float, help="with privacy")
    parser.add_argument(
        "--init", type=Path, help="checkpoint; 'base' for the packaged one; a small network if left out"
    )
    parser.add_argument("--scope", default="all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--toy", action="store_true")
    options = parser.parse_args()
    if options.toy:
        small = {"patients": 2, "held_out": 1, "spacing": 8.0, "rounds": 1, "steps": 2, "seeds": 1, "sites": "BD"}
        vars(options).update(small, out=options.out / "toy")
    return options


def _patients(options: Any) -> tuple[list[Dataset], list[Dataset]]:
    how = PhantomOptions(spacing_mm=options.spacing)
    last = options.patients + options.held_out
    sites, held_out = [], []
    for name in track(options.sites, "making patients"):
        whole = write_cohort(options.out / name, name, range(last), 0, options=how)
        learnt = set(whole.patients[: options.patients])
        sites.append(_part(whole, learnt))
        held_out.append(_part(whole, set(whole.patients) - learnt))
    return sites, held_out


def _part(whole: Dataset, patients: set[str]) -> Dataset:
    return Dataset(whole.folder, whole.info, tuple(row for row in whole.rows if row.patient in patients))


def _plan(options: Any, seed: int) -> TrainingPlan:
    return TrainingPlan(
        rounds=options.rounds,
        steps_per_round=options.steps,
        patients_per_step=4,
        patch_voxels=32,
        learning_rate=options.rate,
        clip_norm=options.clip,
        target_epsilon=options.epsilon,
        scope=options.scope,
        seed=seed,
    )


def _train(sites: Sequence[Dataset], plan: TrainingPlan, options: Any) -> tuple[Weights, NetworkConfig]:
    network, weights = _start(options, plan.seed or 0)
    for number in track(range(1, plan.rounds + 1), f"seed {plan.seed}, contours {plan.contours or 'as drawn'}"):
        updates = [train_round(weights, one, plan, number, one.info.site, network=network).weights for one in sites]
        weights = {name: np.mean([update[name] for update in updates], axis=0) for name in weights}
    return weights, network


def _start(options: Any, seed: int) -> tuple[NetworkConfig, Weights]:
    if options.init is not None:
        checkpoint = load_checkpoint(None if str(options.init) == "base" else options.init)
        return checkpoint.network, checkpoint.weights
    network = NetworkConfig(grid_mm=options.spacing, channels=(16, 32, 32), norm_groups=4)
    return network, weights_of(build(network, seed=seed))


def _score(weights: Weights, network: NetworkConfig, held_out: Sequence[Dataset]) -> dict[str, float | None]:
    net = LesionNet(network)
    apply_weights(net, weights)
    studies: list[GridStudy] = reduce(lambda all_, one: all_ + _grids(one, network), held_out, [])
    return summary([score_study(net.eval(), study) for study in studies])


def _grids(dataset: Dataset, network: NetworkConfig) -> list[GridStudy]:
    return [to_grid(dataset.load(row), network) for row in dataset.rows]


def _table(found: dict[str, list[dict[str, float | None]]], sites: Sequence[Dataset], held_out: int) -> Table:
    rules = ", ".join(f"{one.info.site} {one.info.contour} ({len(one.patients)})" for one in sites)
    table = Table(title=f"sites {rules}; held-out patients of {held_out} sites; {len(found[AS_DRAWN])} seeds")
    for column in ("figure", *found, "gain of each seed"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for name in FIGURES:
        values = {how: np.array([one[name] for one in scores], dtype=np.float64) for how, scores in found.items()}
        gains = ", ".join(f"{gain:+.3f}" for gain in values[AGREED] - values[AS_DRAWN])
        table.add_row(name, *(f"{one.mean():.3f}" for one in values.values()), gains)
    return table


if __name__ == "__main__":
    main()
