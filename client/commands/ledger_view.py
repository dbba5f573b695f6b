"""``fedpsma site ledger`` on the terminal: which file, its runs in a table, and what is left of the budget."""

from __future__ import annotations

from math import inf
from pathlib import Path

from rich.table import Table

from client.commands.spending import RunSpending, Spending
from client.ledger import Ledger
from client.payment import ledger_of
from client.policy import SitePolicy, read_policy
from fedpsma.errors import InputError
from fedpsma.training.trainer import DEFAULT_TRAINER, Trainer, load_trainer


def open_ledger(place: Path, state: Path | None) -> tuple[Ledger, SitePolicy | None, Trainer]:
    """Return the ledger of a data set folder, or that of a file; with the policy of a state folder, if given.

    Raises:
        InputError: There is no ledger, or no policy.
    """
    policy = None if state is None else _policy(state)
    if policy is not None and state is not None:
        ledger = ledger_of(policy, state, place)
    else:
        ledger = Ledger(place) if place.is_file() else ledger_of(SitePolicy(epsilon_budget=inf), place, place)
    if not ledger.path.exists() and not (ledger.anchor and ledger.anchor.exists()):
        raise InputError("has no ledger: nothing was trained on it here", where=str(place), remedy="check the path")
    return ledger, policy, load_trainer(DEFAULT_TRAINER if policy is None else policy.trainer)


def _policy(state: Path) -> SitePolicy:
    try:
        return read_policy(state)
    except (OSError, ValueError) as error:
        raise InputError("holds no policy of a site", where=str(state), remedy="name the state folder") from error


def table_of(found: Spending) -> Table:
    """Return one line a run."""
    table = Table(box=None, pad_edge=False)
    for name in ("run", "kind", "last round"):
        table.add_column(name, no_wrap=True)
    for name in ("rounds", "failed", "cut off", "epsilon", "delta"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in found.runs:
        table.add_row(*_cells(run))
    return table


def _cells(run: RunSpending) -> tuple[str, ...]:
    kind = "simulation" if run.simulated else "federation"
    counts = map(str, (run.rounds, run.failed, run.unfinished))
    return run.run, kind, run.until[:10], *counts, _shown(run.epsilon), "-" if run.delta is None else f"{run.delta:g}"


def verdict_of(found: Spending, policy: SitePolicy | None) -> str:
    """Return what the patients paid altogether, and how that stands to the budget."""
    at = "" if found.delta is None else f" at delta {found.delta:g}"
    spent = f"all {found.rounds} rounds together: epsilon {_shown(found.epsilon)}{at}"
    if found.without_simulations != found.epsilon:
        spent += f"; without simulations {_shown(found.without_simulations)}"
    return spent if policy is None else f"{spent}; budget {policy.epsilon_budget:g}"


def _shown(epsilon: float | None) -> str:
    return "no privacy" if epsilon is None else f"{epsilon:.2f}"
