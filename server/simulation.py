"""A whole federation on one machine: data set folders in, one model out."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedpsma.contract import Federation, FederationSite, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset, read_dataset
from fedpsma.io.files import write_text
from fedpsma.model.checkpoint import load_checkpoint
from fedpsma.offline import go_offline
from server.events import OnEvent, followed
from server.run_folder import RunFolder

Engine = Literal["inprocess", "ray", "flwr"]
# Everything at a simulated site belongs to the one who simulates, so its policy forbids nothing.
POLICY = "epsilon_budget = inf\nallow_fixed_seed = true\nallow_without_privacy = true\nsimulated = true\n"
# Phantoms lose nothing, so each run counts for itself; what real patients pay is written down beside them.
PHANTOM_LEDGER = 'ledger = "ledger.jsonl"\n'


class SimulationConfig(BaseModel):
    """A simulated federation: one site a data set.

    ``out`` is the run folder; running again with the same settings goes on in it. ``init`` is the checkpoint to start
    from (``None``: the base checkpoint). ``trainer`` names another module to train with at the simulated sites.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    datasets: tuple[Path, ...] = Field(min_length=1)
    out: Path
    plan: TrainingPlan
    engine: Engine = "inprocess"
    init: Path | None = None
    trainer: str | None = None

    def alone(self, dataset: Path) -> SimulationConfig:
        """Return the same training at one site only, in a folder inside this run's: what the site gets by itself."""
        plan = self.plan.model_copy(update={"min_sites": 1})
        out = self.out / "alone" / read_dataset(dataset).info.site
        return self.model_copy(update={"datasets": (dataset,), "out": out, "plan": plan})


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
    datasets = _open_sites(config)
    folder = RunFolder(config.out)
    _prepare(config, folder, datasets)
    if folder.last_state().round < config.plan.rounds or not folder.model_path.exists():
        with followed(folder.events, on_event):
            _engine(config.engine)(folder)
    return _result(folder, datasets, time.monotonic() - started)


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


def _open_sites(config: SimulationConfig) -> dict[str, Dataset]:
    sites: dict[str, Dataset] = {}
    for path in config.datasets:
        dataset = read_dataset(path)
        name = dataset.info.site
        if name in sites:
            raise InputError(
                f"belongs to site {name!r}, like {sites[name].folder}",
                where=str(path),
                remedy="give one data set a site",
            )
        _require_small_delta(config.plan, dataset)
        sites[name] = dataset
    if len(sites) < config.plan.min_sites:
        raise InputError(
            f"{len(sites)} given, the plan needs {config.plan.min_sites}",
            where="data sets",
            remedy="give more data sets",
        )
    return sites


def _require_small_delta(plan: TrainingPlan, dataset: Dataset) -> None:
    patients = len(dataset.patients)
    if plan.target_epsilon is not None and plan.delta * patients >= 1:
        raise InputError(
            f"{plan.delta:g} is not below one over the {patients} patients of {dataset.info.site}",
            where="delta",
            remedy=f"give less than {1 / patients:.2g}",
        )


def _prepare(config: SimulationConfig, folder: RunFolder, datasets: dict[str, Dataset]) -> None:
    initial = load_checkpoint(config.init)
    sites = tuple(_site(name, dataset) for name, dataset in datasets.items())
    if folder.is_prepared:
        before = (folder.plan(), folder.federation().sites, load_checkpoint(folder.initial_path).card.sha256)
        if before != (config.plan, sites, initial.card.sha256):
            raise InputError(
                "holds a run with other settings", where=str(folder.path), remedy="give another folder with --out"
            )
        return
    if folder.path.exists() and not folder.path.is_dir():
        raise InputError("is a file, not a folder", where=str(folder.path), remedy="give another folder with --out")
    trainer = f"trainer = {json.dumps(config.trainer, ensure_ascii=False)}\n" if config.trainer else ""
    for name, dataset in datasets.items():
        ledger = PHANTOM_LEDGER if dataset.info.synthetic else ""
        write_text(folder.path / "sites" / name / "site.toml", POLICY + ledger + trainer)
    folder.prepare(config.plan, Federation(run=secrets.token_hex(8), sites=sites), initial)


def _site(name: str, dataset: Dataset) -> FederationSite:
    try:
        return FederationSite(
            name=name,
            dataset=dataset.folder.resolve(),
            state=Path("sites") / name,
            synthetic=dataset.info.synthetic,
        )
    except ValidationError as error:
        raise InputError(
            f"site {name!r} is not a name of letters, digits, spaces, dots, hyphens and underscores",
            where=str(dataset.folder / "dataset.json"),
            remedy="correct the field site",
        ) from error


def _result(folder: RunFolder, datasets: dict[str, Dataset], seconds: float) -> SimulationResult:
    state = folder.last_state()
    outcomes = []
    for name, dataset in datasets.items():
        given = state.sites.get(name)
        epsilon = given.epsilon if given else None
        outcomes.append(SiteOutcome(name, len(dataset.patients), given.rounds if given else 0, epsilon))
    return SimulationResult(
        folder.path, folder.model_path, state.model_sha256, state.round, tuple(outcomes), round(seconds, 1)
    )
