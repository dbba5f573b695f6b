"""What sites gain from training the adapter of the language model together, with and without privacy.

Three sites with synthetic sentences of their own patients, in a style that the model does not know, start from a fresh
adapter of the embedded model (fetch it before). The table gives the loss (nats a token, less is better) on sentences
of patients whom nobody trained on: of the start, of each site alone, of the shared adapter, and of the shared adapter
with patient-level differential privacy; and what a round sends. All of it is synthetic and small: it shows that the way
works, not how good an adapter can become. Run it with ``python benchmarks/federated_adapter.py``; about five minutes of
one processor. Finished runs in ``--folder`` are kept and not run again.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

# Read by the libraries below when they start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from rich.console import Console
from rich.table import Table

from fedpsma.contract import TrainingPlan
from fedpsma.model.checkpoint import load_checkpoint
from reporting.llm.adapter import fresh_adapter
from reporting.llm.adapter_files import write_start
from reporting.llm.corpus import write_corpus
from reporting.llm.store import embedded_model
from reporting.wording.phrasing import style
from server.display import progress_bar
from server.simulation import SimulationConfig, simulate
from server.simulation.datasets import SiteData, site_data
from server.simulation.judging import judge

SITES = ("north", "south", "west")
TARGETS = ("q_proj", "v_proj")
TRAINER = "reporting.llm.federated"


def main() -> None:
    """Make the sites, train every adapter, and print the table."""
    options, console = _options(), Console()
    started = time.process_time()
    config = _config(options)
    private = _private(config, options)
    runs = {"shared, no privacy": config, f"shared, epsilon {options.epsilon:g}": private}
    sites = site_data(config)
    runs |= {f"{site.name} alone, no privacy": config.alone(site.clean.folder) for site in sites}
    models = {"start": config.init}
    for name, one in runs.items():
        with progress_bar(console, one.plan.rounds, name) as on_event:
            models[name] = simulate(one, on_event).model
    console.print(_table(config, sites, models))
    _tell(console, config, private, len(sites))
    console.print(f"{(time.process_time() - started) / 60:.1f} minutes of processor time in this call")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, default=Path("federated_adapter"))
    parser.add_argument("--pairs", type=int, default=480, help="sentences a site")
    parser.add_argument("--held-out", type=float, default=0.02, help="share of patients that nobody trains on")
    parser.add_argument("--rank", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="steps a round at a site")
    parser.add_argument("--patients", type=float, default=6, help="patients expected in a step")
    parser.add_argument("--rate", type=float, default=1e-2, help="learning rate")
    parser.add_argument("--private-rate", type=float, default=1e-2, help="learning rate with privacy")
    parser.add_argument("--epsilon", type=float, default=8.0)
    return parser.parse_args()


def _config(options: argparse.Namespace) -> SimulationConfig:
    folder: Path = options.folder
    for seed, name in enumerate(SITES, start=1):
        if not (folder / name / "card.json").is_file():
            write_corpus(folder / name, options.pairs, seed, style("terse", "en"), name)
    start = folder / "start.safetensors"
    if not start.is_file():
        config, weights = fresh_adapter(embedded_model().name, options.rank, TARGETS, seed=1)
        write_start(start, config, weights, name="fresh adapter", data="none: drawn")
    plan = TrainingPlan(
        rounds=options.rounds,
        steps_per_round=options.steps,
        patients_per_step=options.patients,
        patches_per_patient=1,
        learning_rate=options.rate,
        optimizer="adam",
        target_epsilon=None,
        seed=1,
    )
    return SimulationConfig(
        datasets=tuple(folder / name for name in SITES),
        out=folder / "plain",
        plan=plan,
        init=start,
        held_out=options.held_out,
        trainer=TRAINER,
    )


def _private(config: SimulationConfig, options: argparse.Namespace) -> SimulationConfig:
    patients = max(len(site.training.patients) for site in site_data(config))
    changes = {"target_epsilon": options.epsilon, "delta": 0.5 / patients, "learning_rate": options.private_rate}
    out = options.folder / f"private-{options.epsilon:g}-{options.private_rate:g}"
    return config.model_copy(update={"plan": config.plan.model_copy(update=changes), "out": out})


def _table(config: SimulationConfig, sites: tuple[SiteData, ...], models: dict[str, Path | None]) -> Table:
    subject = config.subject
    (measure,) = subject.yardstick.measures
    table = Table(title="loss on held-out synthetic patients (95 % intervals over patients)")
    for name in ("adapter", "epsilon", "all sites", *(site.name for site in sites)):
        table.add_column(name)
    for name, path in models.items():
        checkpoint = load_checkpoint(path)
        found = judge(checkpoint, sites, config.out / "judged", subject=subject)
        epsilon = checkpoint.card.epsilon
        shown = "none" if epsilon is None else f"{epsilon:.2f}"
        table.add_row(
            name,
            "-" if path == config.init else shown,
            str(found.together.of(measure)),
            *(f"{found.sites[site.name].of(measure).value:.2f}" for site in sites),
        )
    return table


def _tell(console: Console, config: SimulationConfig, private: SimulationConfig, sites: int) -> None:
    """Say what was trained on what, and what a round sends."""
    data = site_data(config)
    trained = ", ".join(f"{len(site.training.patients)}" for site in data)
    held_out = sum(len(site.held_out.patients) for site in data if site.held_out)
    weights = load_checkpoint(config.init).weights
    sent = sum(array.nbytes for array in weights.values())
    console.print(
        f"{trained} patients train, {held_out} are held out; delta {private.plan.delta:.3g}; "
        f"{config.plan.rounds} rounds of {config.plan.steps_per_round} steps with {config.plan.patients_per_step:g} "
        "patients expected in each, one sentence a turn"
    )
    console.print(
        f"a round sends {sent:,} bytes of numbers to a site and as many back, {2 * sites * sent:,} in all: "
        f"{sum(array.size for array in weights.values()):,} numbers of the adapter, none of the language model"
    )


if __name__ == "__main__":
    main()
