"""What attacks prove of a model trained with and without privacy, beside what is claimed.

First the noisy steps alone: the strongest patient there can be, for several budgets, and the bound as a share of what
the accountant claims (1 is a tight accountant and a perfect attack; above 1 the claim is false). Then membership
inference (loss threshold and LiRA) and guesses about canaries on models trained with and without privacy on synthetic
patients.
Run it with ``python benchmarks/audit.py``; ``--toy`` takes a minute and shows only that it runs.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fedpsma.audit.mechanism import audit_mechanism
from fedpsma.audit.report import AuditReport
from fedpsma.audit.run import AuditConfig, audit
from fedpsma.contract import TrainingPlan
from fedpsma.model.checkpoint import ModelCard, save_checkpoint, weights_of
from fedpsma.model.config import NetworkConfig
from fedpsma.model.network import build
from fedpsma.phantom.cohort import write_cohort
from fedpsma.phantom.patient import PhantomOptions
from fedpsma.training.accounting import epsilon_of, spend_of_round
from fedpsma.training.charge import Charge
from fedpsma.training.randomness import SeededRandomness

BUDGETS = (1.0, 3.0, 8.0)


def main() -> None:
    """Audit and print both tables."""
    options = _options()
    console = Console(width=150)
    console.print(_steps(options))
    started = time.perf_counter()
    report = _models(options)
    console.print(_attacks(report, time.perf_counter() - started))
    console.print("CONTRADICTED" if report.contradicted else "nothing contradicts the claims", report.caution)


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/audit"), help="folder; run again to go on in it")
    parser.add_argument("--site", default="A", help="synthetic site whose patients are used")
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--epsilon", type=float, default=8.0)
    parser.add_argument("--delta", type=float, default=0.01)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rate", type=float, default=3e-3, help="of Adam, high enough to learn by heart")
    parser.add_argument("--scope", default="all")
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--shadows", type=int, default=32)
    parser.add_argument("--canaries", type=int, default=40)
    parser.add_argument("--init", type=Path, help="checkpoint; a small network as it is initialised if left out")
    parser.add_argument("--spacing", type=float, default=6.0, help="PET voxel of the patients in mm")
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--toy", action="store_true")
    options = parser.parse_args()
    if options.toy:
        small = {"patients": 10, "rounds": 1, "steps": 3, "targets": 1, "shadows": 4, "canaries": 12, "trials": 2000}
        vars(options).update(small, spacing=8.0, out=options.out / "toy")
    return options


def _plan(options: Any, epsilon: float) -> TrainingPlan:
    return TrainingPlan(
        rounds=options.rounds,
        steps_per_round=options.steps,
        patients_per_step=6,
        patch_voxels=16,
        learning_rate=options.rate,
        optimizer="adam",
        target_epsilon=epsilon,
        delta=options.delta,
        scope=options.scope,
    )


def _steps(options: Any) -> Table:
    table = Table(title=f"the noisy steps alone, delta {options.delta:g}, 95 % lower bound")
    for column in ("budget", "noise", "claimed", "proved", "proved / claimed", "s"):
        table.add_column(column, justify="right")
    for budget in BUDGETS:
        plan = _plan(options, budget)
        spend = spend_of_round(plan, options.patients)
        assert spend is not None
        whole = spend.model_copy(update={"steps": spend.steps * plan.rounds})
        table.add_row(f"{budget:g}", *_row(whole, options))
    return table


def _row(spend: Charge, options: Any) -> list[str]:
    started = time.perf_counter()
    randomness = SeededRandomness(torch.Generator().manual_seed(options.seed))
    bound, _ = audit_mechanism(spend, options.delta, randomness, options.trials)
    claimed = epsilon_of([spend], options.delta)
    figures = (spend.noise_multiplier, claimed, bound.epsilon, bound.epsilon / claimed)
    return [*(f"{figure:.2f}" for figure in figures), f"{time.perf_counter() - started:.1f}"]


def _models(options: Any) -> AuditReport:
    data = options.out / "patients"
    write_cohort(
        data, options.site, range(options.patients), options.seed, options=PhantomOptions(spacing_mm=options.spacing)
    )
    config = AuditConfig(
        dataset=data,
        out=options.out / "models",
        plan=_plan(options, options.epsilon),
        init=options.init or _small(options.out / "initial.safetensors"),
        targets=options.targets,
        shadows=options.shadows,
        canaries=options.canaries,
        trials=options.trials,
        seed=options.seed,
    )
    with Progress() as bar:
        task = bar.add_task("models", total=config.models)
        return audit(config, lambda: bar.advance(task))


def _small(path: Path) -> Path:
    network = NetworkConfig(grid_mm=8.0, channels=(16, 32), norm_groups=4)
    card = ModelCard(name="untrained", data="none", recipe={}, metrics={})
    save_checkpoint(path, network, weights_of(build(network)), card)
    return path


def _attacks(report: AuditReport, seconds: float) -> Table:
    counts = (
        f"{report.patients} patients, {report.canaries} canaries, {report.targets} models, {report.shadows} shadows"
    )
    table = Table(title=f"{counts}, {seconds:.0f} s")
    titles = (
        "training",
        "claimed",
        "proved, one run",
        "proved, all runs",
        "AUC loss",
        "AUC LiRA",
        "allowed",
        "TPR at 0.1",
    )
    for title in titles:
        table.add_column(title, justify="right")
    for one in report.models:
        claimed = ["none" if limit is None else f"{limit:.2f}" for limit in (one.claimed_epsilon, one.auc_limit)]
        proofs = [f"{proof.epsilon:.2f} ({proof.right} of {proof.made})" for proof in (one.one_run, one.all_runs)]
        aucs = [str(one.loss.auc), str(one.likelihood_ratio.auc)]
        found = f"{one.likelihood_ratio.found_at['0.1']:.2f}"
        table.add_row(one.protection, claimed[0], *proofs, *aucs, claimed[1], found)
    return table


if __name__ == "__main__":
    main()
