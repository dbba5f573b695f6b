"""Everything the server uses of Flower, so that an upgrade touches one file.

The round loop sees nodes, orders and replies (:class:`Link`); it knows no Flower. The last functions serve the engines
that run the two apps without a SuperLink; they use parts of Flower that are not public, which is why the version is
pinned and a contract test names them.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, MetricRecord, RecordDict
from flwr.app import Context as Context
from flwr.app import Message as Message
from flwr.common.constant import SUPERLINK_NODE_ID, ErrorCode
from flwr.serverapp import Grid as Grid
from flwr.serverapp import ServerApp
from flwr.serverapp import strategy as strategies
from flwr.supercore.constant import NOOP_FEDERATION_ID
from flwr.supercore.run import Run as Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.supercore.telemetry import EventType

from fedpsma.contract import IDENTIFY, ORDER, REFUSAL, REPORT, SECURE, SITE, WEIGHTS, Stage
from fedpsma.joining.clocks import LARGEST_SKEW
from fedpsma.joining.signatures import SIGNATURE
from fedpsma.model.checkpoint import Weights
from fedpsma.packing import FORMAT, PACKED, PackedArray, PackingError, pack, unpack
from server.replies import Reply, ReplyKind
from server.signing import Sealed
from server.updates import Arrays

CLIENT_APP, SERVER_APP = "client.app:app", "server.app:app"
IDENTIFY_TIMEOUT_S = 120.0
# Flower gives a ServerApp no way to learn that its engine has stopped.
INTERRUPTED = threading.Event()
# Between two looks for replies: a twentieth of the time that was waited already, between these.
FIRST_PAUSE_S, LONGEST_PAUSE_S, PAUSE_SHARE = 0.05, 3.0, 0.05
_SHARE = "share"
Waits = Callable[[float], bool]
"""Whether to go on waiting for replies after so many seconds."""
Content = Callable[[int], RecordDict]
"""What to send to a node."""


class EngineStoppedError(Exception):
    """The engine stopped while the server waited for replies."""


@dataclass(frozen=True)
class Link:
    """The way to the nodes of a federation; ``interrupted`` ends every wait."""

    grid: Grid
    interrupted: threading.Event

    def nodes(self) -> list[int]:
        """Return the ids of the nodes that are there now."""
        return sorted(self.grid.get_node_ids())

    def identify(self, nodes: Sequence[int], question: Sealed) -> dict[int, Sealed]:
        """Ask nodes for the names of their sites, with their signatures; an empty name is no name.

        Those that do not answer, or fell away before they could, are left out.
        """
        asked = RecordDict({SITE: _sealed_record(question)}) if question.text else RecordDict()
        limit = IDENTIFY_TIMEOUT_S
        replies = self._exchange(nodes, lambda _: asked, f"query.{IDENTIFY}", lambda elapsed: elapsed < limit)
        return {
            node: Sealed(_text(reply, SITE, "name"), _text(reply, SITE, SIGNATURE))
            for node, reply in replies
            if reply.has_content()
        }

    def ask(self, questions: Mapping[int, Sealed], stage: Stage, waits: Waits) -> Iterator[Reply]:
        """Send each node its message of a stage of secure aggregation and yield the answers as they come."""

        def content(node: int) -> RecordDict:
            return RecordDict({SECURE: _sealed_record(questions[node])})

        for node, message in self._exchange(list(questions), content, f"query.{stage}", waits):
            yield _reply(node, message)

    def train(
        self,
        nodes: Sequence[int],
        order: Callable[[int], Sealed],
        weights: Weights,
        waits: Waits,
        extra: Mapping[int, Sealed] | None = None,
    ) -> Iterator[Reply]:
        """Send nodes their orders with weights and yield their replies as they come, until all are there or late.

        Args:
            nodes: Whom to ask, in this order.
            order: Makes the order for a node at the moment it is sent; once more where a node has to be asked again.
            weights: Where to start from.
            waits: How long to wait.
            extra: What secure aggregation tells each node beside.
        """
        packed = pack(weights)
        arrays = ArrayRecord({PACKED: Array("uint8", (len(packed),), FORMAT, packed)})

        def content(node: int) -> RecordDict:
            masking = {SECURE: _sealed_record(extra[node])} if extra else {}
            return RecordDict({ORDER: _sealed_record(order(node)), WEIGHTS: arrays, **masking})

        for node, message in self._exchange(nodes, content, "train", waits):
            yield _reply(node, message)

    def pause(self, seconds: float) -> None:
        """Wait, unless the engine stops.

        Raises:
            EngineStoppedError: The engine has stopped.
        """
        if self.interrupted.wait(seconds):
            raise EngineStoppedError

    def _exchange(
        self, nodes: Sequence[int], content: Content, kind: str, waits: Waits
    ) -> Iterator[tuple[int, Message]]:
        """Send a message to each node and yield the replies; a node that started anew has lost its message."""
        asked: dict[str, int] = {}
        awake = self._awake_since()
        self._push(nodes, content, kind, asked)
        started = time.monotonic()
        while asked and waits(time.monotonic() - started):
            replies = list(self.grid.pull_messages(list(asked)))
            for reply in replies:
                node = asked.get(reply.metadata.reply_to_message_id)
                if node is not None:
                    asked = {name: other for name, other in asked.items() if other != node}
                    yield node, reply
            if asked and not replies:
                elapsed = time.monotonic() - started
                self.pause(min(max(FIRST_PAUSE_S, PAUSE_SHARE * elapsed), LONGEST_PAUSE_S))
                now = self._awake_since()
                again = [node for node in sorted(set(asked.values())) if now.get(node, "") > awake.get(node, "")]
                self._push(again, content, kind, asked)
                awake = {**awake, **now}

    def _push(self, nodes: Sequence[int], content: Content, kind: str, asked: dict[str, int]) -> None:
        for node in nodes:
            # One at a time, because what Flower returns for a message it could not push differs between its grids.
            for message_id in self.grid.push_messages([Message(content(node), node, kind)]):
                if message_id:
                    asked[message_id] = node

    def _awake_since(self) -> dict[int, str]:
        """Return since when each node is there, as far as the grid knows."""
        return {node.node_id: node.last_activated_at for node in self.grid.get_nodes()}


def _text(message: Message, record: str, key: str) -> str:
    """Return a text from a reply, empty where there is none; a site can put anything into any record."""
    records = message.content.config_records if message.has_content() else {}
    return str(records[record].get(key, "")) if record in records else ""


def _reply(node: int, message: Message) -> Reply:
    if not message.has_content():
        return Reply(node, "error")
    found = set(message.content)
    if found == {REFUSAL}:
        return _sealed_reply(node, message, "refusal", REFUSAL)
    if found == {SECURE}:
        return _sealed_reply(node, message, "answer", SECURE)
    if found == {REPORT, WEIGHTS} and WEIGHTS in message.content.array_records:
        return _weighty_reply(node, message, message.content.array_records[WEIGHTS])
    return Reply(node, "malformed")


def _weighty_reply(node: int, message: Message, record: Mapping[str, Array]) -> Reply:
    if set(record) != {PACKED}:
        return Reply(node, "malformed")
    try:
        return _sealed_reply(node, message, "report", REPORT, unpack(record[PACKED].data))
    except PackingError:
        return Reply(node, "malformed")


def _sealed_reply(
    node: int, message: Message, kind: ReplyKind, record: str, arrays: Mapping[str, PackedArray] | None = None
) -> Reply:
    return Reply(node, kind, _text(message, record, "json"), arrays or {}, _text(message, record, SIGNATURE))


def _sealed_record(sealed: Sealed) -> ConfigRecord:
    """Return a text as it travels; without a signature nothing stands beside it."""
    return ConfigRecord({"json": sealed.text, **({SIGNATURE: sealed.signature} if sealed.signature else {})})


@dataclass(frozen=True)
class FlowerRule:
    """One of Flower's strategies, used for its aggregation alone, with its settings."""

    name: str
    settings: Mapping[str, float] = field(default_factory=dict)

    def build(self) -> Any:
        """Return the strategy."""
        return getattr(strategies, self.name)(weighted_by_key=_SHARE, **self.settings)


@dataclass(frozen=True)
class Moments:
    """First and second moment of an adaptive rule, by parameter name; empty before the first round."""

    first: Arrays
    second: Arrays


def combine(
    rule: FlowerRule, round_number: int, updates: Sequence[Arrays], shares: Sequence[float] | None = None
) -> Arrays:
    """Let one of Flower's strategies make one update of several; ``shares`` weigh those that take a mean."""
    weighed = zip(updates, shares or [1.0] * len(updates), strict=True)
    combined, _ = rule.build().aggregate_train(round_number, [_as_reply(one, share) for one, share in weighed])
    return _numpy(combined)


def adapt(rule: FlowerRule, round_number: int, update: Arrays, moments: Moments) -> tuple[Arrays, Moments]:
    """Return the step that one of Flower's adaptive rules makes of an update, and its moments after it."""
    optimiser = rule.build()
    # The step from zero is the step from anywhere.
    optimiser.current_arrays = {name: np.zeros_like(change) for name, change in update.items()}
    optimiser.m_t, optimiser.v_t = dict(moments.first), dict(moments.second)
    step, _ = optimiser.aggregate_train(round_number, [_as_reply(update, 1.0)])
    return _numpy(step), Moments(optimiser.m_t, optimiser.v_t)


def _as_reply(update: Arrays, share: float) -> Message:
    arrays = ArrayRecord({name: Array(update[name]) for name in sorted(update)})
    content = RecordDict({WEIGHTS: arrays, "metrics": MetricRecord({_SHARE: share})})
    return Message(content, SUPERLINK_NODE_ID, "train")


def _numpy(arrays: ArrayRecord) -> Arrays:
    return {name: array.numpy() for name, array in arrays.items()}


def build_app(main: Callable[[Link, Path], None]) -> ServerApp:
    """Return a Flower ServerApp that runs ``main`` with the link to the nodes and the run folder."""

    def run(grid: Grid, context: Context) -> None:
        main(Link(grid, INTERRUPTED), Path(str(context.run_config["run-folder"])))

    app = ServerApp()
    app.main()(run)
    return app


def bundle_of(app_folder: Path) -> bytes:
    """Return the bundle that Flower makes of an application: what travels to the sites, byte for byte."""
    from flwr.cli.build import build_fab_from_disk

    with warnings.catch_warnings():
        # Of a library of Flower's.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="pathspec")
        return bytes(build_fab_from_disk(app_folder))


def run_simulation_runtime(run_folder: Path, app_folder: Path, sites: int, processes: int, gpus: float) -> None:
    """Run both apps in Flower's simulation runtime on Ray.

    Args:
        run_folder: The run folder.
        app_folder: A folder whose ``pyproject.toml`` gives the clients their run configuration.
        sites: Number of virtual nodes.
        processes: Number of Ray workers, one CPU each.
        gpus: Share of a GPU that each worker takes.
    """
    # It brings the whole SuperLink with it, and only Ray needs it.
    from flwr.simulation.run_simulation import _run_simulation

    take_identity()
    run = Run.create_empty(TaskIdentity.run_id)
    run.primary_task_id, run.federation_id = TaskIdentity.task_id, NOOP_FEDERATION_ID
    INTERRUPTED.clear()
    try:
        _run_simulation(
            num_supernodes=sites,
            exit_event=EventType.PYTHON_API_RUN_SIMULATION_LEAVE,
            server_app_attr=SERVER_APP,
            client_app_attr=CLIENT_APP,
            app_dir=str(app_folder),
            is_app=True,
            run=run,
            server_app_context=context_of(0, {}, {"run-folder": str(run_folder)}),
            backend_config={
                "init_args": {"num_cpus": processes, "log_to_driver": False, "logging_level": logging.ERROR},
                "client_resources": {"num_cpus": 1, "num_gpus": gpus},
            },
        )
    except BaseException:
        INTERRUPTED.set()
        raise


def quiet() -> None:
    """Let Flower's log say errors only; what users see comes from the events of the run."""
    logging.getLogger("flwr").setLevel(logging.ERROR)


def take_identity() -> None:
    """Tell Flower that this process is a server; no message can be made without it."""
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, SUPERLINK_NODE_ID


def run_id() -> int:
    """Return the id of the run that this process belongs to."""
    return int(TaskIdentity.run_id)


def context_of(node_id: int, node_config: dict[str, int], run_config: dict[str, str]) -> Context:
    """Return what Flower hands to an app beside its messages."""
    return Context(run_id=1, node_id=node_id, node_config=node_config, state=RecordDict(), run_config=dict(run_config))


def error_reply(message: Message, reason: str) -> Message:
    """Return what Flower sends back for a ClientApp that raised."""
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)


def run_superlink() -> None:
    """Be ``flower-superlink``, but take the calls of a node whose clock is minutes ahead.

    Flower takes what a node signed up to five minutes ago, but nothing from a clock five seconds ahead; hospitals' are.
    """
    # Only this process needs the server.
    from flwr.superlink.cli import flower_superlink
    from flwr.superlink.routers.fleet import node_auth

    node_auth.SYSTEM_TIME_TOLERANCE = int(LARGEST_SKEW.total_seconds())
    flower_superlink()
