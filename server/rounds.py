"""The round loop: plan, send, validate every reply, aggregate, checkpoint, note it down; and the way back in.

A site that fails is left out of its round and named with a code; the run goes on as long as ``min_sites`` are left.
A finished round is on the disk before the next one starts, so an interruption costs one round at most.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from fedpsma.contract import RoundOrder, SiteRefusal, SiteReport, Stage
from fedpsma.history.events import EventKind
from fedpsma.io.files import finished_folder, held_alone
from fedpsma.model.checkpoint import ModelCard, Weights, load_checkpoint, model_hash, save_checkpoint
from fedpsma.training.local_rules import split_control
from server.averaging import averaged
from server.card import federated_card
from server.failures import FederationError, failure_code, require_finite
from server.flower import Link, Waits
from server.participation import away_sites
from server.replies import BAD_UPDATES, Asked, QuarantineError, QuarantineReason, Reply, read_reply
from server.roll_call import draw_key, drawn, roll_call
from server.run_folder import RoundOutcome, RoundState, RunFolder, SiteState
from server.run_in_play import RunInPlay
from server.signing import Sealed, signing_of
from server.stopping import heeded
from server.strategies.rule import Given, Rule
from server.updates import Arrays, StoredUpdate, overlong, stepped

# Who only looks whether a run is alive holds its folder for a moment.
HELD_S = 2.0
# The longest that a stage of secure aggregation takes, which a site answers at once.
STAGE_TIMEOUT_S = 600.0
# Under secure aggregation there is one update, of no site in particular.
TOGETHER = "all sites"


@dataclass
class _Harvest:
    """What a round brought: the valid updates by site, and why the others of those ``asked`` are missing."""

    asked: int
    reports: dict[str, SiteReport] = field(default_factory=dict)
    updates: dict[str, Arrays] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    accusations: dict[str, tuple[str, ...]] = field(default_factory=dict)


def run_rounds(link: Link, path: Path) -> None:
    """Train until the plan's rounds are done, from the last finished round on, and write the model.

    Raises:
        FederationError: A round had fewer valid updates than the plan's ``min_sites``.
        InputError: The run folder is not as it has to be, another process is at it, or a round's step is not finite.
    """
    folder = RunFolder(path)
    initial = load_checkpoint(folder.initial_path).card
    federation = folder.federation()
    run = RunInPlay(
        link, folder, folder.plan(), federation, folder.rules(), folder.events, initial, signing_of(federation)
    )
    run.rules.strategy.require_hideable(run.plan.secure_aggregation)
    run.rules.strategy.require_counts(_patients(run), run.plan.secure_aggregation)
    with held_alone(path, within_s=HELD_S), heeded(folder.stop_path, link.interrupted):
        _run_to_the_end(run)


def _run_to_the_end(run: RunInPlay) -> None:
    state, run.failed = run.folder.last_state(), run.folder.failed_attempts()
    started = time.monotonic()
    kind: EventKind = "run_resumed" if run.events.path.exists() else "run_started"
    run.events.append(kind, round=state.round, rounds=run.plan.rounds, model_sha256=state.model_sha256)
    try:
        while state.round < run.plan.rounds:
            state = _play_round(run, state)
        model = _write_model(run, state)
    except BaseException as error:
        run.folder.clear_incoming()
        # On a full disk this fails as well, and the error that counts is the first one.
        with suppress(OSError):
            run.events.append("run_failed", round=state.round, reason=failure_code(error))
        raise
    seconds = _seconds_since(started)
    run.events.append("run_ended", round=state.round, seconds=seconds, model_sha256=model)


def _play_round(run: RunInPlay, state: RoundState) -> RoundState:
    started = time.monotonic()
    number = state.round + 1
    weights, memory, run.sites = run.folder.weights(state), run.folder.memory(state), state.sites
    sent = {**weights, **run.rules.strategy.sent(run.plan, weights, memory)}
    nodes = drawn(run, roll_call(run, everyone=not run.names), number)
    run.events.append(
        "round_started",
        round=number,
        rounds=run.plan.rounds,
        sites=tuple(sorted(nodes.values())),
        bytes=len(nodes) * sum(array.nbytes for array in sent.values()),
        model_sha256=state.model_sha256,
    )
    harvest = _collect(run, nodes, number, sent)
    _set_overlong_aside(run, harvest, number)
    if len(harvest.reports) < _least(run, harvest):
        raise FederationError(_too_few(run, number, harvest))
    made = _rule(run, harvest).aggregate(_given(run, number, harvest, memory))
    new = stepped(weights, made.step)
    require_finite(new, number, run.rules.strategy.name)
    state = _finish(run, state, RoundOutcome(new, _mean(run, state, weights, new), made.memory), harvest.reports)
    run.folder.clear_incoming()
    run.events.append("round_ended", round=number, seconds=_seconds_since(started), model_sha256=state.model_sha256)
    return state


def _rule(run: RunInPlay, harvest: _Harvest) -> Rule:
    return run.rules.strategy.without(sum(reason in BAD_UPDATES for reason in harvest.missing.values()))


def _least(run: RunInPlay, harvest: _Harvest) -> int:
    return max(run.plan.min_sites, _rule(run, harvest).least_updates)


def _collect(run: RunInPlay, nodes: Mapping[int, str], number: int, sent: Weights) -> _Harvest:
    harvest = _Harvest(asked=len(nodes))
    network = run.initial.network.model_dump(mode="json")
    order = RoundOrder(run=run.federation.run, round=number, plan=run.plan, network=network, issued=_issued(run))
    weights, _ = split_control(sent)
    away = away_sites(list(nodes.values()), run.rules.participation, draw_key(run, number))
    # In the order of their names, so that every engine that works them off one by one does it in the same order.
    reached = sorted((node for node in nodes if nodes[node] not in away), key=lambda node: nodes[node])
    answered = set()
    if run.plan.secure_aggregation is not None:
        _sum_secretly(run, harvest, order, {node: nodes[node] for node in reached}, weights)
        answered.update(reached)
        reached = []
    for reply in run.link.train(reached, _sealing(run, order, sent), sent, _patience(run, harvest)):
        answered.add(reply.node)
        _take(run, harvest, reply, Asked(nodes[reply.node], number, run.plan, weights, run.signing))
    for node in sorted(nodes.keys() - answered, key=lambda node: nodes[node]):
        _set_aside(run, harvest, nodes[node], number, "no_reply" if node in reached else "away")
    return harvest


def _sealing(run: RunInPlay, order: RoundOrder, sent: Weights) -> Callable[[int], Sealed]:
    """Return what makes the order for a node; a real site takes an order up once, so each one has its own date."""

    def seal(node: int) -> Sealed:
        counted = run.sites.get(run.names[node], SiteState(last=0)).last if run.plan.control_variates else None
        text = order.model_copy(update={"issued": _issued(run), "counted": counted}).model_dump_json()
        return run.signing.seal("order", run.names[node], order.round, text, sent)

    return seal


def _issued(run: RunInPlay) -> datetime | None:
    """Return the date of an order; in a simulation it has none, so that it is the same whenever it is given."""
    return None if run.federation.name is None else datetime.now(UTC)


def _sum_secretly(
    run: RunInPlay, harvest: _Harvest, order: RoundOrder, nodes: dict[int, str], weights: Weights
) -> None:
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
        for site in error.sites:
            _set_aside(run, harvest, site, order.round, "false_share")
        harvest.reports.clear()
        harvest.accusations.clear()
        _sum_secretly(run, harvest, order, {n: site for n, site in nodes.items() if site not in error.sites}, weights)
    except UnmaskingError as error:
        raise FederationError(f"round {order.round}: {error} ({_missing(harvest)})") from error


@dataclass(frozen=True)
class _Desk:
    """Sends and takes the messages of a secure round like those of any other."""

    run: RunInPlay
    harvest: _Harvest
    order: RoundOrder
    weights: Weights

    def ask(self, questions: Mapping[int, str], stage: Stage, enough: Callable[[], bool]) -> Iterator[Reply]:
        for reply in self.run.link.ask(self._sealed(questions), stage, _until(self.run, STAGE_TIMEOUT_S, enough)):
            site = self.run.names[reply.node]
            signed = self.run.signing.is_from("answer", site, self.order.round, reply.sealed)
            yield reply if reply.kind != "answer" or signed else replace(reply, kind="unsigned")

    def train(self, mask_orders: Mapping[int, str], enough: Callable[[], bool]) -> Iterator[Reply]:
        waits = _until(self.run, self.run.federation.round_timeout_s, enough)
        order = _sealing(self.run, self.order, self.weights)
        return self.run.link.train(list(mask_orders), order, self.weights, waits, self._sealed(mask_orders))

    def accusations(self) -> Mapping[str, tuple[str, ...]]:
        return self.harvest.accusations

    def set_aside(self, site: str, reason: QuarantineReason) -> None:
        _set_aside(self.run, self.harvest, site, self.order.round, reason)

    def accept(self, reply: Reply, site: str, expected: Arrays) -> Weights | None:
        asked = Asked(site, self.order.round, self.run.plan, expected, self.run.signing)
        return _accepted(self.run, self.harvest, reply, asked)

    def _sealed(self, texts: Mapping[int, str]) -> dict[int, Sealed]:
        run, number = self.run, self.order.round
        return {node: run.signing.seal("stage", run.names[node], number, text) for node, text in texts.items()}


def _patience(run: RunInPlay, harvest: _Harvest) -> Waits:
    return _until(run, run.federation.round_timeout_s, lambda: len(harvest.reports) >= _least(run, harvest))


def _until(run: RunInPlay, longest_s: float, enough: Callable[[], bool]) -> Waits:
    """Return how long answers are waited for: so long, or after the deadline until enough sites have answered well."""
    deadline_s = run.rules.participation.deadline_s

    def waits(elapsed_s: float) -> bool:
        late = deadline_s is not None and elapsed_s >= deadline_s
        return elapsed_s < longest_s and not (late and enough())

    return waits


def _take(run: RunInPlay, harvest: _Harvest, reply: Reply, asked: Asked) -> None:
    trained = _accepted(run, harvest, reply, asked)
    if trained is not None:
        place = run.folder.incoming / f"{asked.site}.safetensors"
        harvest.updates[asked.site] = StoredUpdate(place, asked.weights, trained)


def _accepted(run: RunInPlay, harvest: _Harvest, reply: Reply, asked: Asked) -> Weights | None:
    """Return the arrays of a valid reply and note its report; otherwise note why there are none."""
    try:
        content = read_reply(reply, asked)
    except QuarantineError as quarantined:
        _set_aside(run, harvest, asked.site, asked.round, quarantined.reason)
        return None
    if isinstance(content, SiteRefusal):
        harvest.missing[asked.site] = content.reason
        harvest.accusations[asked.site] = content.senders
        run.events.append("site_refused", round=asked.round, site=asked.site, reason=content.reason)
        return None
    report, trained = content
    harvest.reports[asked.site] = report
    run.events.append(
        "site_reported",
        round=asked.round,
        site=asked.site,
        seconds=report.seconds,
        epsilon=report.epsilon,
        bytes=reply.bytes,
    )
    return trained


def _set_aside(run: RunInPlay, harvest: _Harvest, site: str, number: int, reason: QuarantineReason) -> None:
    harvest.missing[site] = reason
    run.events.append("site_quarantined", round=number, site=site, reason=reason)


def _too_few(run: RunInPlay, number: int, harvest: _Harvest) -> str:
    return f"round {number}: {len(harvest.reports)} valid updates, {_least(run, harvest)} needed ({_missing(harvest)})"


def _missing(harvest: _Harvest) -> str:
    if harvest.missing:
        return ", ".join(f"{site}: {reason}" for site, reason in sorted(harvest.missing.items()))
    return "every site that was asked answered" if harvest.asked else "no site was there to be asked"


def _set_overlong_aside(run: RunInPlay, harvest: _Harvest, number: int) -> None:
    limit = run.rules.participation.norm_limit
    lengths = {site: one.length for site, one in harvest.updates.items() if isinstance(one, StoredUpdate)}
    for site in sorted(overlong(lengths, limit) if limit else ()):
        _set_aside(run, harvest, site, number, "too_long")
        del harvest.updates[site], harvest.reports[site]


def _given(run: RunInPlay, number: int, harvest: _Harvest, memory: Arrays) -> Given:
    return Given(number, run.plan, harvest.updates, len(run.federation.sites), _patients(run), memory)


def _patients(run: RunInPlay) -> dict[str, int | None]:
    return {site.name: site.patients for site in run.federation.sites}


def _mean(run: RunInPlay, state: RoundState, before: Weights, weights: Weights) -> Weights:
    decay = run.rules.averaging
    if decay is None:
        return {}
    return averaged(run.folder.mean(state.round) or before, weights, state.round + 1, decay)


def _finish(run: RunInPlay, state: RoundState, outcome: RoundOutcome, reports: Mapping[str, SiteReport]) -> RoundState:
    sites = dict(state.sites)
    for name, report in reports.items():
        rounds = sites.get(name, SiteState()).rounds + 1
        sites[name] = SiteState(rounds=rounds, last=state.round + 1, epsilon=report.epsilon, delta=report.delta)
    new = RoundState(run=state.run, round=state.round + 1, model_sha256=model_hash(outcome.weights), sites=sites)
    run.folder.finish_round(new, outcome, _card(run, new))
    return new


def _write_model(run: RunInPlay, state: RoundState) -> str:
    """Write the model and return its fingerprint."""
    card, weights = _card(run, state), run.folder.outcome(state)
    with finished_folder(run.folder.model_path.parent) as draft:
        save_checkpoint(draft / run.folder.model_path.name, card.network, weights, card)
    return model_hash(weights)


def _card(run: RunInPlay, state: RoundState) -> ModelCard:
    return federated_card(run.initial, run.plan, run.federation, state, run.rules)


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 2)
