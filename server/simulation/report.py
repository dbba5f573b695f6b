"""``simulation.json``: what a simulation did and what came of it; the page shows nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fedpsma import __version__
from fedpsma.history.events import Event
from fedpsma.model.checkpoint import Weights, load_checkpoint
from fedpsma.training.local_rules import RoundMemory, with_own
from fedpsma.training.subject import OnItem, Yardstick
from server.card import synthetic
from server.run_folder import RunFolder
from server.simulation.config import SimulationConfig
from server.simulation.datasets import SiteData, pooled, site_data
from server.simulation.judging import Judgement, judge

REPORT_FILE = "simulation.json"
MOST_POINTS = 24
SHARED, POOLED, START = "shared", "pooled", "start"


class SiteLine(BaseModel):
    """What became of one site; ``left_out`` counts the rounds it missed by the reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    patients: int
    held_out: int
    rounds: int
    left_out: dict[str, int]
    epsilon: float | None
    attacks: str | None


class RoundLine(BaseModel):
    """One round: its time, the loss of each site's patients so far, and what the model reached after it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    round: int
    seconds: float | None
    epsilon: dict[str, float]
    judgement: Judgement | None


class ModelLine(BaseModel):
    """One trained model: the shared one, that of the pooled patients, of one site alone, or the start of all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["start", "shared", "pooled", "alone"]
    epsilon: float | None
    judgement: Judgement


class SimulationReport(BaseModel):
    """A whole simulation; ``synthetic`` is ``None`` where only some sites have phantoms.

    ``yardstick`` says by what its models were judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    software: str
    synthetic: bool | None
    settings: dict[str, Any]
    target_epsilon: float | None
    delta: float
    sites: tuple[SiteLine, ...]
    rounds: tuple[RoundLine, ...]
    models: tuple[ModelLine, ...]
    yardstick: Yardstick


def baselines(config: SimulationConfig) -> dict[str, SimulationConfig]:
    """Return the trainings that the shared model is compared with: pooled, and every site alone, all with its plan."""
    if not config.compare:
        return {}
    sites = site_data(config)
    data = pooled(sites, config.out / "data" / POOLED, config.subject)
    found = {POOLED: config.of_one(data.folder, config.out / POOLED, sites=len(sites))}
    return found | {site.name: config.alone(site.clean.folder) for site in sites}


def judged_items(config: SimulationConfig) -> int:
    """Return how many studies, or whatever is tried one by one, :func:`make_report` lets models try in all."""
    sites = site_data(config)
    rounds = len(_curve_rounds(config.plan.rounds)) if _is_shared_whole(config) else 1
    models = rounds + 1 + (1 + len(sites) if config.compare else 0)
    return models * sum(len(config.subject.items(site.held_out)) for site in sites if site.held_out)


def make_report(config: SimulationConfig, on_item: OnItem = lambda: None) -> SimulationReport:
    """Gather what a finished simulation left, and judge its models where patients were held out."""
    sites, folder = site_data(config), RunFolder(config.out)
    events = folder.events.read()[0]
    rounds = tuple(_rounds(config, folder, sites, events, on_item))
    return SimulationReport(
        software=f"fedpsma {__version__}",
        synthetic=synthetic(folder.federation()),
        settings=config.model_dump(mode="json"),
        target_epsilon=config.plan.target_epsilon,
        delta=config.plan.delta,
        sites=tuple(_site(one, config, folder, events, sites) for one in sites),
        rounds=rounds,
        models=tuple(_models(config, folder, sites, on_item)) if config.held_out_share else (),
        yardstick=config.subject.yardstick,
    )


def _is_shared_whole(config: SimulationConfig) -> bool:
    """Whether there is one model for all; with parts kept at the sites only their own whole models are judged."""
    return config.full_plan.kept_at_site == "nothing"


def _curve_rounds(rounds: int) -> frozenset[int]:
    """Return the rounds after which the model is judged, the last one among them: of many rounds a few tell enough."""
    points = min(rounds, MOST_POINTS)
    return frozenset(round(rounds * (point + 1) / points) for point in range(points))


def _site(
    site: SiteData, config: SimulationConfig, folder: RunFolder, events: Sequence[Event], sites: Sequence[SiteData]
) -> SiteLine:
    given = folder.last_state().sites.get(site.name)
    missed = {event.round: event.reason for event in events if event.site == site.name and event.reason}
    attack = config.attack
    attacks = attack is not None and site.name in attack.attackers([one.name for one in sites])
    return SiteLine(
        name=site.name,
        patients=len(site.training.patients),
        held_out=len(site.held_out.patients) if site.held_out else 0,
        rounds=given.rounds if given else 0,
        left_out=dict(Counter(str(reason) for reason in missed.values())),
        epsilon=_spent(events, site.name),
        attacks=attack.kind if attack and attacks else None,
    )


def _spent(events: Sequence[Event], site: str) -> float | None:
    """Return what a site's patients have paid, whether its replies counted or not."""
    told = [event.epsilon for event in events if event.site == site and event.epsilon is not None]
    return told[-1] if told else None


def _rounds(
    config: SimulationConfig, folder: RunFolder, sites: Sequence[SiteData], events: Sequence[Event], on_item: OnItem
) -> Iterator[RoundLine]:
    seconds = {event.round: event.seconds for event in events if event.kind == "round_ended"}
    shown = _curve_rounds(config.plan.rounds)
    for number in range(1, folder.last_state().round + 1):
        paid = {event.site: event.epsilon for event in events if event.round == number and event.epsilon is not None}
        judged = None
        if config.held_out_share and _is_shared_whole(config) and number in shown:
            checkpoint = load_checkpoint(folder.checkpoint_path(number))
            checkpoint = checkpoint.model_copy(update={"weights": folder.mean(number) or checkpoint.weights})
            judged = judge(checkpoint, sites, config.out / "judged", on_item=on_item, subject=config.subject)
        epsilon = {str(site): value for site, value in sorted(paid.items(), key=str)}
        yield RoundLine(round=number, seconds=seconds.get(number), epsilon=epsilon, judgement=judged)


def _models(
    config: SimulationConfig, folder: RunFolder, sites: Sequence[SiteData], on_item: OnItem
) -> Iterator[ModelLine]:
    def line(name: str, kind: Any, path: Path, own: Mapping[str, Weights] | None = None) -> ModelLine:
        checkpoint = load_checkpoint(path)
        judged = judge(checkpoint, sites, config.out / "judged", own, on_item, config.subject)
        return ModelLine(name=name, kind=kind, epsilon=checkpoint.card.epsilon, judgement=judged)

    yield line("starting weights", START, folder.initial_path)
    yield line("shared model", SHARED, folder.model_path, _own(config, folder))
    for name, one in baselines(config).items():
        kind = POOLED if name == POOLED else "alone"
        shown = "pooled patients" if name == POOLED else f"{name} alone"
        yield line(shown, kind, RunFolder(one.out).model_path)


def _own(config: SimulationConfig, folder: RunFolder) -> dict[str, Weights]:
    """Return the whole model of each site that keeps a part of it for itself."""
    federation, state = folder.federation(), folder.last_state()
    weights = folder.outcome(state)
    memories = {
        site.name: RoundMemory.of_run(folder.path / site.state, federation.run).before(state.round + 1)
        for site in federation.sites
        if site.state is not None
    }
    return {name: with_own(weights, memory, config.full_plan) for name, memory in memories.items()}
