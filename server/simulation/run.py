"""Data sets in, one model out: lets an engine work the run folder off, and says what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedpsma.history.events import OnEvent, followed
from fedpsma.model.checkpoint import model_hash
from fedpsma.offline import go_offline
from server.run_folder import RunFolder, SiteState
from server.simulation.config import Engine, SimulationConfig
from server.simulation.datasets import SiteData
from server.simulation.preparation import prepared


@dataclass(frozen=True)
class SiteOutcome:
    """What a site gave: its patients, the rounds that counted, its privacy loss over all rounds (``None``: no DP)."""

    site: str
    patients: int
    rounds: int
    epsilon: float | None


@dataclass(frozen=True)
class SimulationResult:
    """What a simulation left: the final checkpoint, its fingerprint, and what it cost each site."""

    folder: Path
    model: Path
    model_sha256: str
    rounds: int
    sites: tuple[SiteOutcome, ...]
    seconds: float


def simulate(config: SimulationConfig, on_event: OnEvent | None = None) -> SimulationResult:
    """Run a federation on this machine, or go on with one that was interrupted.

    Args:
        config: What to simulate.
        on_event: Called with every event of the run, from another thread.

    Raises:
        InputError: A data set, the checkpoint, the plan or the folder is not as it has to be.
        FederationError: A round had too few valid updates.
    """
    started = time.monotonic()
    folder, sites = prepared(config)
    if folder.last_state().round < config.plan.rounds or not folder.model_path.exists():
        with followed(folder.events, on_event):
            _engine(config.engine)(folder)
    return _result(folder, sites, time.monotonic() - started)


def _engine(name: Engine) -> Callable[[RunFolder], None]:
    # Flower reads its switches when it is imported, and each engine is loaded only where it is used.
    go_offline()
    from server.flower import quiet

    quiet()
    if name == "ray":
        from server.engines.ray import run_on_ray

        return run_on_ray
    if name == "flwr":
        from server.engines.superlink import run_with_flwr

        return run_with_flwr
    from server.engines.inprocess import run_in_process

    return run_in_process


def _result(folder: RunFolder, sites: Sequence[SiteData], seconds: float) -> SimulationResult:
    state = folder.last_state()
    model = model_hash(folder.outcome(state))
    outcomes = []
    for site in sites:
        given = state.sites.get(site.name, SiteState())
        outcomes.append(SiteOutcome(site.name, len(site.training.patients), given.rounds, given.epsilon))
    return SimulationResult(folder.path, folder.model_path, model, state.round, tuple(outcomes), round(seconds, 1))
