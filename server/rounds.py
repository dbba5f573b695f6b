"""The round loop: plan, send, validate every reply, aggregate, checkpoint, note it down; and the way back in.

A site that fails is left out of its round and named with a code; the run goes on as long as ``min_sites`` are left.
A finished round is on the disk before the next one starts, so an interruption costs one round at most.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedpsma.contract import Federation, RoundOrder, SiteRefusal, SiteReport, Stage, TrainingPlan
from fedpsma.io.files import finished_folder
from fedpsma.model.checkpoint import ModelCard, Weights, load_checkpoint, model_hash, save_checkpoint
from server.card import federated_card
from server.events import EventKind, EventLog
from server.flower import EngineStoppedError, Link, federated_average
from server.replies import Asked, QuarantineError, QuarantineReason, Reply, read_reply
from server.run_folder import RoundState, RunFolder, SiteState

ARRIVAL_S = 120.0
ROLL_CALL_PAUSE_S = 0.2
# Under secure aggregation there is one update, of no site in particular.
TOGETHER = "all sites"


class FederationError(Exception):
    """A round had too few valid updates, so there is no model to go on with."""


@dataclass
class _Run:
    link: Link
    folder: RunFolder
    plan: TrainingPlan
    federation: Federation
    events: EventLog
    initial: ModelCard
    names: dict[int, str] = field(default_factory=dict)


@dataclass
class _Harvest:
    """What a round brought: the valid updates by site, and why the others are missing."""

    reports: dict[str, SiteReport] = field(default_factory=dict)
    updates: dict[str, Weights] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def run_rounds(link: Link, path: Path) -> None:
    """Train until the plan's rounds are done, from the last finished round on, and write the model.

    Raises:
        FederationError: A round had fewer valid updates than the plan's ``min_sites``.
        InputError: The run folder is not as it has to be.
    """
    folder = RunFolder(path)
    initial = load_checkpoint(folder.initial_path).card
    run = _Run(link, folder, folder.plan(), folder.federation(), folder.events, initial)
    state = folder.last_state()
    started = time.monotonic()
    kind: EventKind = "run_resumed" if run.events.path.exists() else "run_started"
    run.events.append(kind, round=state.round, rounds=run.plan.rounds, model_sha256=state.model_sha256)
    try:
        while state.round < run.plan.rounds:
            state = _play_round(run, state)
        _write_model(run, state)
    except BaseException as error:
        run.events.append("run_failed", round=state.round, reason=_failure_code(error))
        raise
    seconds = _seconds_since(started)
    run.events.append("run_ended", round=state.round, seconds=seconds, model_sha256=state.model_sha256)


def _play_round(run: _Run, state: RoundState) -> RoundState:
    started = time.monotonic()
    number = state.round + 1
    weights = run.folder.weights(state)
    nodes = _roll_call(run, everyone=not run.names)
    run.events.append(
        "round_started",
        round=number,
        rounds=run.plan.rounds,
        sites=tuple(sorted(nodes.values())),
        bytes=len(nodes) * sum(array.nbytes for array in weights.values()),
        model_sha256=state.model_sha256,
    )
    harvest = _collect(run, nodes, number, weights)
    if len(harvest.reports) < run.plan.min_sites:
        raise FederationError(_too_few(run, number, harvest))
    combined = _aggregate(number, weights, harvest.updates)
    state = _finish(run, state, combined, harvest.reports)
    run.events.append("round_ended", round=number, seconds=_seconds_since(started), model_sha256=state.model_sha256)
    return state


def _roll_call(run: _Run, *, everyone: bool) -> dict[int, str]:
    """Return the sites that are there by node, after waiting for all of them or for as many as a round needs."""
    wanted = len(run.federation.sites) if everyone else run.plan.min_sites
    deadline = time.monotonic() + ARRIVAL_S
    while True:
        nodes = run.link.nodes()
        _learn_names(run, [node for node in nodes if node not in run.names])
        present = {node: run.names[node] for node in nodes if run.names.get(node)}
        if len(present) >= wanted or time.monotonic() > deadline:
            return _without_doubles(run, present)
        run.link.pause(ROLL_CALL_PAUSE_S)


def _learn_names(run: _Run, nodes: list[int]) -> None:
    if not nodes:
        return
    admitted = {site.name for site in run.federation.sites}
    for node, name in run.link.identify(nodes).items():
        known = name in admitted
        run.names[node] = name if known else ""
        if not known:
            run.events.append("site_quarantined", reason="unknown_site")


def _without_doubles(run: _Run, present: dict[int, str]) -> dict[int, str]:
    names = list(present.values())
    doubles = {name for name in names if names.count(name) > 1}
    for name in sorted(doubles):
        run.events.append("site_quarantined", site=name, reason="duplicate_site")
    return {node: name for node, name in present.items() if name not in doubles}


def _collect(run: _Run, nodes: Mapping[int, str], number: int, weights: Weights) -> _Harvest:
    harvest = _Harvest()
    network = run.initial.network.model_dump(mode="json")
    order = RoundOrder(run=run.federation.run, round=number, plan=run.plan, network=network)
    if run.plan.secure_aggregation is not None:
        _sum_secretly(run, harvest, order, dict(nodes), weights)
        return harvest
    # In the order of their names, so that every engine that works them off one by one does it in the same order.
    ordered = sorted(nodes, key=lambda node: nodes[node])
    answered = set()
    for reply in run.link.train(ordered, order, weights, run.federation.round_timeout_s):
        answered.add(reply.node)
        _take(run, harvest, reply, Asked(nodes[reply.node], number, run.plan, weights))
    for node in ordered:
        if node not in answered:
            _set_aside(run, harvest, nodes[node], number, "no_reply")
    return harvest


def _sum_secretly(run: _Run, harvest: _Harvest, order: RoundOrder, nodes: dict[int, str], weights: Weights) -> None:
    """Collect the mean of all updates as one update of all sites together, which is all that can be known of them."""
    # Loaded here, because they need a package that plain rounds do not.
    from fedpsma.secure_aggregation.identity import KeyBook
    from server.secure_round import SecureRound
    from server.unmasking import BrokenSecretError, UnmaskingError

    keys = {site.name: site.key for site in run.federation.sites if site.key is not None}
    book = KeyBook(run.folder.keys_path, keys)
    desk = _Desk(run, harvest, order, weights)
    try:
        harvest.updates[TOGETHER] = SecureRound(nodes, order, weights, book, desk).mean()
    except BrokenSecretError as error:
        _set_aside(run, harvest, error.site, order.round, "false_share")
        harvest.reports.clear()
        _sum_secretly(run, harvest, order, {n: site for n, site in nodes.items() if site != error.site}, weights)
    except UnmaskingError as error:
        raise FederationError(f"round {order.round}: {error} ({_missing(harvest)})") from error


@dataclass(frozen=True)
class _Desk:
    """Sends and takes the messages of a secure round like those of any other."""

    run: _Run
    harvest: _Harvest
    order: RoundOrder
    weights: Weights

    def ask(self, questions: Mapping[int, str], stage: Stage) -> Iterator[Reply]:
        return self.run.link.ask(questions, stage)

    def train(self, mask_orders: Mapping[int, str]) -> Iterator[Reply]:
        timeout_s = self.run.federation.round_timeout_s
        return self.run.link.train(list(mask_orders), self.order, self.weights, timeout_s, mask_orders)

    def set_aside(self, site: str, reason: QuarantineReason) -> None:
        _set_aside(self.run, self.harvest, site, self.order.round, reason)

    def accept(self, reply: Reply, site: str, expected: Mapping[str, NDArray[Any]]) -> Weights | None:
        _take(self.run, self.harvest, reply, Asked(site, self.order.round, self.run.plan, expected))
        return self.harvest.updates.pop(site, None)


def _take(run: _Run, harvest: _Harvest, reply: Reply, asked: Asked) -> None:
    try:
        content = read_reply(reply, asked)
    except QuarantineError as quarantined:
        _set_aside(run, harvest, asked.site, asked.round, quarantined.reason)
        return
    if isinstance(content, SiteRefusal):
        harvest.missing[asked.site] = content.reason
        run.events.append("site_refused", round=asked.round, site=asked.site, reason=content.reason)
        return
    report, harvest.updates[asked.site] = content
    harvest.reports[asked.site] = report
    run.events.append(
        "site_reported",
        round=asked.round,
        site=asked.site,
        seconds=report.seconds,
        epsilon=report.epsilon,
        bytes=reply.bytes,
    )


def _set_aside(run: _Run, harvest: _Harvest, site: str, number: int, reason: QuarantineReason) -> None:
    harvest.missing[site] = reason
    run.events.append("site_quarantined", round=number, site=site, reason=reason)


def _too_few(run: _Run, number: int, harvest: _Harvest) -> str:
    return f"round {number}: {len(harvest.reports)} valid updates, {run.plan.min_sites} needed ({_missing(harvest)})"


def _missing(harvest: _Harvest) -> str:
    return ", ".join(f"{site}: {reason}" for site, reason in sorted(harvest.missing.items())) or "no site answered"


def _aggregate(number: int, weights: Weights, updates: Mapping[str, Weights]) -> Weights:
    ordered = [updates[site] for site in sorted(updates)]
    averaged = federated_average(number, ordered)
    # What no site trained stays bit for bit; the mean of three equal numbers may differ in the last bit.
    frozen = {name for name in weights if all(np.array_equal(update[name], weights[name]) for update in ordered)}
    return {name: weights[name] if name in frozen else averaged[name] for name in weights}


def _finish(run: _Run, state: RoundState, weights: Weights, reports: Mapping[str, SiteReport]) -> RoundState:
    sites = dict(state.sites)
    for name, report in reports.items():
        rounds = sites.get(name, SiteState()).rounds + 1
        sites[name] = SiteState(rounds=rounds, epsilon=report.epsilon, delta=report.delta)
    new = RoundState(run=state.run, round=state.round + 1, model_sha256=model_hash(weights), sites=sites)
    run.folder.finish_round(new, weights, _card(run, new))
    return new


def _write_model(run: _Run, state: RoundState) -> None:
    card = _card(run, state)
    with finished_folder(run.folder.model_path.parent) as draft:
        save_checkpoint(draft / run.folder.model_path.name, card.network, run.folder.weights(state), card)


def _card(run: _Run, state: RoundState) -> ModelCard:
    return federated_card(run.initial, run.plan, run.federation, state)


def _failure_code(error: BaseException) -> str:
    if isinstance(error, FederationError):
        return "too_few_sites"
    return "stopped" if isinstance(error, KeyboardInterrupt | EngineStoppedError) else "internal_error"


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 2)
