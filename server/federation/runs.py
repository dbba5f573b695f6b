"""The runs of a federation: prepare one, start it, find out how it stands, start it again where it was cut off."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from fedpsma.contract import Federation, FederationSite, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.history.summary import RunSummary, Standing, events_of, standing_of, summary_of
from fedpsma.io.files import file_state, is_held, read_json, write_json, write_text
from fedpsma.model.checkpoint import load_checkpoint
from fedpsma.settings import SHORT
from server.federation.admission import AdmittedSite, admitted_sites
from server.federation.app import write_app
from server.federation.home import FederationHome
from server.federation.superlink import CONNECTION, SuperLink, SuperLinkError
from server.participation import Participation
from server.run_folder import RunFolder, RunRules
from server.strategies import Strategy
from server.strategies.fedavg import FedAvg

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# Flower cuts arrays into chunks and keeps them in its data base; a site holds them in memory twice.
LARGEST_MESSAGE_BYTES = 2 * 2**30
POLL_S = 0.2
START_TIMEOUT_S = 120.0


class RunConfig(BaseModel):
    """What a run is: a TOML file and the options of the command fill the same fields.

    ``sites`` are those that are asked (none named: all admitted). ``init`` is the checkpoint to start from (``None``:
    the base checkpoint). With ``averaging`` the model is the mean of the weights over the rounds, of which so much is
    kept in every round. ``round_timeout_s`` ends the wait for a site that does not answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sites: tuple[str, ...] = ()
    plan: TrainingPlan = TrainingPlan()
    strategy: Strategy = FedAvg()
    participation: Participation = Participation()
    averaging: float | None = Field(default=None, gt=0, lt=1)
    init: Path | None = None
    round_timeout_s: float = Field(default=12 * 3600.0, gt=0)

    @field_validator("strategy", mode="before")
    @classmethod
    def _by_its_name(cls, value: object, info: ValidationInfo) -> object:
        """Let a plain word stand for a strategy with its usual settings."""
        return {SHORT[info.field_name or ""]: value} if isinstance(value, str) else value


@dataclass(frozen=True)
class FederationRun:
    """A run by its name."""

    home: FederationHome
    name: str

    @property
    def folder(self) -> RunFolder:
        """Its run folder."""
        return RunFolder(self.home.runs.resolve() / self.name)

    @property
    def flower_path(self) -> Path:
        """The number by which the SuperLink knows it; there from its start to its end."""
        return self.folder.path / "flower.json"

    def require(self) -> None:
        """Raise InputError where there is no such run."""
        if not self.folder.is_prepared:
            known = ", ".join(run.name for run in all_runs(self.home)) or "none yet"
            raise InputError("is no run", where=self.name, remedy=f"runs of this federation: {known}")

    @property
    def is_alive(self) -> bool:
        """Whether a process is at it, which holds its folder."""
        return is_held(self.folder.path)

    @property
    def standing(self) -> Standing:
        """How it stands."""
        if not self.is_alive and self._is_starting:
            return "starting"
        found = standing_of(self.folder.path, events_of(self.folder.path))
        return "cut off" if found == "prepared" and self.flower_path.exists() else found

    def summary(self) -> RunSummary:
        """Return how it stands, with its rounds and sites.

        Raises:
            InputError: A file of it cannot be read.
        """
        return summary_of(self.folder.path, self.standing)

    @property
    def _is_starting(self) -> bool:
        """Whether it was started a moment ago, and nothing was heard of it yet."""
        started, heard = file_state(self.flower_path), file_state(self.folder.events.path)
        if started is None or (heard is not None and heard[1] > started[1]):
            return False
        return time.time_ns() - started[1] < START_TIMEOUT_S * 1e9


def all_runs(home: FederationHome) -> list[FederationRun]:
    """Return the runs of a federation by name."""
    paths = sorted(home.runs.glob("*/plan.json"))
    return [FederationRun(home, path.parent.name) for path in paths]


def prepare(home: FederationHome, name: str, config: RunConfig) -> FederationRun:
    """Write what a run needs.

    Raises:
        InputError: The name, a site, the plan or the checkpoint does not fit, or there is such a run already.
    """
    if not RUN_NAME.fullmatch(name):
        raise InputError("is no name of a run", where=name, remedy="take letters, digits, - and _")
    run = FederationRun(home, name)
    if run.folder.is_prepared:
        remedy = "give another name, or no settings to go on with it"
        raise InputError("is there already with its settings", where=name, remedy=remedy)
    plan = config.strategy.plan(config.plan)
    config.strategy.require_hideable(plan.secure_aggregation)
    sites = _chosen(home, config)
    least = max(plan.min_sites, config.strategy.least_updates)
    if len(sites) < least:
        raise InputError(
            f"{len(sites)} admitted, the plan with {config.strategy.name} needs {least}",
            where="sites",
            remedy="admit more sites",
        )
    config.participation.require_enough(least, config.strategy.name)
    config.strategy.require_counts({site.name: site.request.patients for site in sites}, plan.secure_aggregation)
    initial = load_checkpoint(config.init)
    _require_sendable(sum(array.nbytes for array in initial.weights.values()))
    federation = Federation(
        run=secrets.token_hex(8),
        sites=tuple(_as_asked(site) for site in sites),
        round_timeout_s=config.round_timeout_s,
        name=home.config().name,
        signing_key=home.signing_key_path.resolve(),
    )
    rules = RunRules(strategy=config.strategy, participation=config.participation, averaging=config.averaging)
    run.folder.prepare(plan, federation, initial, rules)
    home.note("run prepared", run=name, id=federation.run)
    return run


def start(run: FederationRun, superlink: SuperLink) -> None:
    """Start a prepared run, or go on with it after its last finished round.

    Raises:
        InputError: It runs, or is finished.
        SuperLinkError: The SuperLink does not take it.
    """
    run.require()
    standing = run.standing
    if standing in ("starting", "running", "finished"):
        what = "is finished" if standing == "finished" else "runs already"
        raise InputError(what, where=run.name, remedy=f"see: fedpsma federation watch {run.name}")
    run.folder.stop_path.unlink(missing_ok=True)
    run.flower_path.unlink(missing_ok=True)
    app = write_app(superlink.home / "app")
    folder = json.dumps(str(run.folder.path), ensure_ascii=False)
    started = superlink.flwr("run", str(app), CONNECTION, "--run-config", f"run-folder={folder}")
    write_json(run.flower_path, {"run_id": started["run-id"]})
    run.home.note("run started", run=run.name)


def request_stop(run: FederationRun) -> None:
    """Have the process that is at a run end; the sites see that and stop training.

    Raises:
        InputError: No process is at it.
    """
    run.require()
    if run.standing != "running":
        raise InputError(f"is {run.standing}", where=run.name, remedy="nothing is to be stopped")
    write_text(run.folder.stop_path, "stop\n")
    run.home.note("stop asked for", run=run.name)


def wait_until_over(run: FederationRun) -> Standing:
    """Wait until no process is at a run any more, and return how it stands then."""
    while run.is_alive:
        time.sleep(POLL_S)
    return run.standing


def resume_cut_off(home: FederationHome, superlink: SuperLink, say: Callable[[str], None]) -> None:
    """Start every run again that was cut off when its process died."""
    for run in all_runs(home):
        if run.standing == "cut off":
            try:
                start(run, superlink)
            except (InputError, SuperLinkError) as error:
                say(f"{run.name} was cut off and does not start again: {error}")
            else:
                say(f"{run.name} was cut off and goes on after round {run.folder.last_state().round}")


def running_superlink(home: FederationHome, make: Callable[[FederationHome, int], SuperLink]) -> SuperLink:
    """Return the SuperLink that runs now.

    Raises:
        InputError: None does.
    """
    path = home.flower / "up.json"
    if path.exists():
        superlink = make(home, int(read_json(path)["superlink_port"]))
        if superlink.is_well():
            return superlink
    raise InputError("is not up", where=str(home.folder), remedy="start it with: fedpsma federation up")


def _chosen(home: FederationHome, config: RunConfig) -> list[AdmittedSite]:
    there = [site for site in admitted_sites(home) if site.is_in]
    missing = set(config.sites) - {site.name for site in there}
    if missing:
        raise InputError("is not admitted", where=min(missing), remedy="see: fedpsma federation sites")
    return [site for site in there if not config.sites or site.name in config.sites]


def _as_asked(site: AdmittedSite) -> FederationSite:
    request = site.request
    return FederationSite(
        name=request.site, synthetic=request.synthetic, patients=request.patients, key=request.signing_key
    )


def _require_sendable(size: int) -> None:
    if size > LARGEST_MESSAGE_BYTES:
        raise InputError(
            f"is {size / 2**30:.1f} GB, more than the {LARGEST_MESSAGE_BYTES / 2**30:.0f} GB that a message may have",
            where="init",
            remedy="take a smaller network, or train an adapter",
        )
