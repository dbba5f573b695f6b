"""``simulation.json``: what a simulation did and what came of it; the page shows nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fedpsma import __version__
from fedpsma.history.rounds import RoundRecord, attempts_of
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
SHARED, POOLED, START, ALL_SHARED = "shared", "pooled", "start", "all shared"


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
    """One trained model: the shared one, that of the pooled patients, of one site alone, or the start of all.

    Where the sites keep a part of the model, "shared" is judged with each site's own, and "all shared" is the same
    federation with nothing kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["start", "shared", "all shared", "pooled", "alone"]
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
    """Return the trainings that the shared model is compared with: pooled, and every site alone, all with its plan.

    Where the sites keep a part of the model, also the federation with nothing kept.
    """
    if not config.compare:
        return {}
    sites = site_data(config)
    data = pooled(sites, config.out / "data" / POOLED, config.subject)
    clean = [site.clean.folder for site in sites]
    found = {} if _is_shared_whole(config) else {ALL_SHARED: config.all_shared(clean, config.out / "all_shared")}
    found[POOLED] = config.of_one(data.folder, config.out / POOLED, sites=len(sites))
    return found | {site.name: config.alone(site.clean.folder) for site in sites}


def judged_items(config: SimulationConfig) -> int:
    """Return how many studies, or whatever is tried one by one, :func:`make_report` lets models try in all."""
    models = len(_curve_rounds(config.plan.rounds)) + 1 + len(baselines(config))
    return models * sum(len(config.subject.items(site.held_out)) for site in site_data(config) if site.held_out)


def make_report(config: SimulationConfig, on_item: OnItem = lambda: None) -> SimulationReport:
    """Gather what a finished simulation left, and judge its models where patients were held out."""
    sites, folder = site_data(config), RunFolder(config.out)
    attempts = attempts_of(folder.events.read()[0])
    rounds = tuple(_rounds(config, folder, sites, attempts, on_item))
    return SimulationReport(
        software=f"fedpsma {__version__}",
        synthetic=synthetic(folder.federation()),
        settings=config.model_copy(update={"plan": config.full_plan}).model_dump(mode="json"),
        target_epsilon=config.plan.target_epsilon,
        delta=config.plan.delta,
        sites=tuple(_site(one, config, folder, attempts, sites) for one in sites),
        rounds=rounds,
        models=tuple(_models(config, folder, sites, on_item)) if config.held_out_share else (),
        yardstick=config.subject.yardstick,
    )


def _is_shared_whole(config: SimulationConfig) -> bool:
    """Whether there is one model for all; with parts kept at the sites each is judged with its own."""
    return config.full_plan.kept_at_site == "nothing"


def _curve_rounds(rounds: int) -> frozenset[int]:
    """Return the rounds after which the model is judged, the last one among them: of many rounds a few tell enough."""
    points = min(rounds, MOST_POINTS)
    return frozenset(round(rounds * (point + 1) / points) for point in range(points))


def _site(
    site: SiteData,
    config: SimulationConfig,
    folder: RunFolder,
    attempts: Sequence[RoundRecord],
    sites: Sequence[SiteData],
) -> SiteLine:
    given = folder.last_state().sites.get(site.name)
    missed = {one.number: one.missing[site.name] for one in attempts if site.name in one.missing}
    paid = [one.paid[site.name] for one in attempts if one.paid.get(site.name) is not None]
    attack = config.attack
    attacks = attack is not None and site.name in attack.attackers([one.name for one in sites])
    return SiteLine(
        name=site.name,
        patients=len(site.training.patients),
        held_out=len(site.held_out.patients) if site.held_out else 0,
        rounds=given.rounds if given else 0,
        left_out=dict(Counter(missed.values())),
        epsilon=paid[-1] if paid else None,
        attacks=attack.kind if attack and attacks else None,
    )


def _rounds(
    config: SimulationConfig,
    folder: RunFolder,
    sites: Sequence[SiteData],
    attempts: Sequence[RoundRecord],
    on_item: OnItem,
) -> Iterator[RoundLine]:
    shown = _curve_rounds(config.plan.rounds)
    for one in attempts:
        if not one.finished:
            continue
        judged = None
        if config.held_out_share and one.number in shown:
            checkpoint = load_checkpoint(folder.checkpoint_path(one.number))
            checkpoint = checkpoint.model_copy(update={"weights": folder.mean(one.number) or checkpoint.weights})
            own = _own(config, folder, checkpoint.weights, one.number)
            judged = judge(checkpoint, sites, config.out / "judged", own, on_item, config.subject)
        epsilon = {site: value for site, value in sorted(one.paid.items()) if value is not None}
        yield RoundLine(round=one.number, seconds=one.seconds, epsilon=epsilon, judgement=judged)


def _models(
    config: SimulationConfig, folder: RunFolder, sites: Sequence[SiteData], on_item: OnItem
) -> Iterator[ModelLine]:
    def line(name: str, kind: Any, path: Path, last_round: int | None = None) -> ModelLine:
        checkpoint = load_checkpoint(path)
        own = None if last_round is None else _own(config, folder, checkpoint.weights, last_round)
        judged = judge(checkpoint, sites, config.out / "judged", own, on_item, config.subject)
        return ModelLine(name=name, kind=kind, epsilon=checkpoint.card.epsilon, judgement=judged)

    yield line("starting weights", START, folder.initial_path)
    parts = "" if _is_shared_whole(config) else ", each site with its own part"
    yield line(f"shared model{parts}", SHARED, folder.model_path, folder.last_state().round)
    shown = {POOLED: "pooled patients", ALL_SHARED: "same federation, nothing kept at the sites"}
    for name, one in baselines(config).items():
        kind = name if name in shown else "alone"
        yield line(shown.get(name, f"{name} alone"), kind, RunFolder(one.out).model_path)


def _own(config: SimulationConfig, folder: RunFolder, weights: Weights, number: int) -> dict[str, Weights]:
    """Return the whole model after a round of each site that keeps a part of it for itself."""
    if _is_shared_whole(config):
        return {}
    federation = folder.federation()
    memories = {
        site.name: RoundMemory.of_run(folder.path / site.state, federation.run).before(number + 1)
        for site in federation.sites
        if site.state is not None
    }
    return {name: with_own(weights, memory, config.full_plan) for name, memory in memories.items()}
