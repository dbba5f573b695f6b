"""Data sets in, one model out: prepares the run folder, lets an engine work it off, and says what came of it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedpsma.contract import Federation, FederationSite, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.history.events import OnEvent, followed
from fedpsma.io.files import require_folder_or_nothing, write_text
from fedpsma.model.checkpoint import load_checkpoint, model_hash
from fedpsma.offline import go_offline
from fedpsma.training.subject import PatientData
from server.run_folder import RunFolder, SiteState
from server.simulation.config import Engine, SimulationConfig
from server.simulation.datasets import SiteData, site_data

# Everything at a simulated site belongs to the one who simulates, so its policy forbids nothing.
POLICY = "epsilon_budget = inf\nallow_fixed_seed = true\nallow_without_privacy = true\nsimulated = true\n"
ADVERSARIES = "client.adversary"


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
    require_folder_or_nothing(config.out)
    sites = site_data(config)
    _check(config, sites)
    folder = RunFolder(config.out)
    _prepare(config, folder, sites)
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


def _check(config: SimulationConfig, sites: Sequence[SiteData]) -> None:
    """Raise InputError where the plan cannot be carried out with these sites."""
    least = max(config.plan.min_sites, config.strategy.least_updates)
    if len(sites) < least:
        what = f"{len(sites)} given, the plan with {config.strategy.name} needs {least}"
        raise InputError(what, where="data sets", remedy="give more data sets")
    config.strategy.require_hideable(config.plan.secure_aggregation)
    for site in sites:
        _require_small_delta(config.plan, site.training)
    unknown = set(config.attack.sites if config.attack else ()) - {site.name for site in sites}
    if unknown:
        raise InputError(f"{min(unknown)!r} is no site", where="attack.sites", remedy="name sites of the federation")


def _require_small_delta(plan: TrainingPlan, dataset: PatientData) -> None:
    patients = len(dataset.patients)
    if plan.target_epsilon is not None and plan.delta * patients >= 1:
        raise InputError(
            f"{plan.delta:g} is not below one over the {patients} patients of {dataset.site}",
            where="delta",
            remedy=f"give less than {1 / patients:.2g}",
        )


def _prepare(config: SimulationConfig, folder: RunFolder, sites: Sequence[SiteData]) -> None:
    initial = load_checkpoint(config.init)
    config.subject.require(initial.card.network, where=str(config.init or "the base checkpoint"))
    admitted = tuple(_site(site) for site in sites)
    if folder.is_prepared:
        known = load_checkpoint(folder.initial_path).card.sha256
        before = (folder.plan(), folder.federation().sites, folder.rules(), known)
        if before != (config.full_plan, admitted, config.rules, initial.card.sha256):
            raise InputError(
                "holds a run with other settings", where=str(folder.path), remedy="give another folder with --out"
            )
        return
    for site in admitted:
        text = _policy(config, site.name, admitted) + _ledger(config, site)
        write_text(folder.path / "sites" / site.name / "site.toml", text)
    folder.prepare(config.full_plan, Federation(run=secrets.token_hex(8), sites=admitted), initial, config.rules)


def _policy(config: SimulationConfig, name: str, sites: Sequence[FederationSite]) -> str:
    attack, trainer = config.attack, config.trainer
    if attack and attack.kind != "label_flip" and name in attack.attackers([site.name for site in sites]):
        trainer = f"{trainer or ADVERSARIES}:{attack.kind}"
    return POLICY + (f"trainer = {json.dumps(trainer, ensure_ascii=False)}\n" if trainer else "")


def _ledger(config: SimulationConfig, site: FederationSite) -> str:
    """Return where a site's ledger lies: phantoms lose nothing, so each run counts for itself.

    What real patients pay is written down in the one given data set they come from, if it is one.
    """
    given = [path for path in config.datasets if config.partition or config.subject.open(path).site == site.name]
    if site.synthetic or len(given) != 1:
        return 'ledger = "ledger.jsonl"\n'
    return f"ledger = {json.dumps(str(given[0].resolve() / 'ledger.jsonl'), ensure_ascii=False)}\n"


def _site(site: SiteData) -> FederationSite:
    dataset = site.training
    return FederationSite(
        name=site.name,
        dataset=dataset.folder.resolve(),
        state=Path("sites") / site.name,
        synthetic=dataset.synthetic,
        patients=len(dataset.patients),
    )


def _result(folder: RunFolder, sites: Sequence[SiteData], seconds: float) -> SimulationResult:
    state = folder.last_state()
    model = model_hash(folder.outcome(state))
    outcomes = []
    for site in sites:
        given = state.sites.get(site.name, SiteState())
        outcomes.append(SiteOutcome(site.name, len(site.training.patients), given.rounds, given.epsilon))
    return SimulationResult(folder.path, folder.model_path, model, state.round, tuple(outcomes), round(seconds, 1))
