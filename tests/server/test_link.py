"""The way to the nodes and back, through Flower's own messages: whatever a node sends, the server stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from packed_record import arrays_in, packed_record, record_of
from pydantic import ValidationError

from fedpsma.contract import RoundOrder, SiteReport, TrainingPlan
from fedpsma.packing import pack
from server.engines.inprocess import InProcessGrid
from server.flower import EngineStoppedError, Link, context_of, take_identity
from server.replies import Asked, QuarantineError, Reply, read_reply
from server.signing import Sealed

WEIGHTS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
ORDER = RoundOrder(run="r", round=1, plan=TrainingPlan())
REPORT = SiteReport(site="A", round=1, epsilon=1.0, delta=0.01, noise_multiplier=1.0, steps=8, seconds=0.0)
SEALED = Sealed(ORDER.model_dump_json())
JSON = ConfigRecord({"json": REPORT.model_dump_json()})
ARRAYS = packed_record(WEIGHTS)


def test_an_order_says_what_counted_only_where_that_is_told() -> None:
    assert "counted" not in ORDER.model_dump_json()
    told = RoundOrder(run="r", round=3, plan=TrainingPlan(), counted=2)
    assert RoundOrder.model_validate_json(told.model_dump_json()) == told
    with pytest.raises(ValidationError, match="a round before this one"):
        RoundOrder(run="r", round=3, plan=TrainingPlan(), counted=3)


def _link(client: Callable[[Message], RecordDict]) -> Link:
    take_identity()

    def app(message: Message, context: object) -> Message:
        return Message(client(message), reply_to=message)

    return Link(InProcessGrid(app, {1: context_of(1, {}, {})}), threading.Event())


def _answer(content: RecordDict) -> Reply:
    (reply,) = _link(lambda _: content).train([1], lambda _: SEALED, WEIGHTS, lambda elapsed: elapsed < 60)
    return reply


def test_weights_and_order_reach_the_node_as_they_are() -> None:
    def client(message: Message) -> RecordDict:
        assert RoundOrder.model_validate_json(str(message.content["order"]["json"])) == ORDER
        np.testing.assert_array_equal(arrays_in(message)["a"], WEIGHTS["a"])
        return RecordDict({"report": JSON, "weights": ARRAYS})

    (reply,) = _link(client).train([1], lambda _: SEALED, WEIGHTS, lambda elapsed: elapsed < 60)
    report, weights = read_reply(reply, Asked("A", 1, ORDER.plan, WEIGHTS))
    assert report == REPORT
    np.testing.assert_array_equal(weights["a"], WEIGHTS["a"])


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"report": JSON}),
        RecordDict({"weights": ARRAYS}),
        RecordDict({"report": JSON, "weights": ARRAYS, "metrics": MetricRecord({"loss": 0.1})}),
        RecordDict({"report": JSON, "weights": ConfigRecord({"a": "b"})}),
        RecordDict({"report": ARRAYS, "weights": ARRAYS}),
        RecordDict({"report": ConfigRecord({"text": "x"}), "weights": ARRAYS}),
        RecordDict({"report": ConfigRecord({"json": [1.0, 2.0]}), "weights": ARRAYS}),
        RecordDict({"refusal": MetricRecord({"json": 1})}),
        RecordDict({"refusal": ConfigRecord({"json": "{}"})}),
        RecordDict({"report": JSON, "weights": ArrayRecord({"a": Array(WEIGHTS["a"])})}),
        RecordDict({"report": JSON, "weights": ArrayRecord({**ARRAYS, "a": Array(WEIGHTS["a"])})}),
        RecordDict({"report": JSON, "weights": record_of(pack(WEIGHTS), "other")}),
        RecordDict({"report": JSON, "weights": record_of(b"")}),
        RecordDict({"report": JSON, "weights": record_of(b"no arrays at all")}),
        RecordDict({"report": JSON, "weights": record_of(pack(WEIGHTS)[:-1])}),
        RecordDict({"report": JSON, "weights": record_of(pack(WEIGHTS) + b"0")}),
    ],
)
def test_whatever_a_node_sends_is_set_aside_with_a_code(content: RecordDict) -> None:
    with pytest.raises(QuarantineError) as caught:
        read_reply(_answer(content), Asked("A", 1, ORDER.plan, WEIGHTS))
    assert caught.value.reason == "malformed_reply"


def test_a_client_app_that_raises_is_an_error_reply() -> None:
    def fail(message: Message) -> RecordDict:
        raise RuntimeError("secret")

    (reply,) = _link(fail).train([1], lambda _: SEALED, WEIGHTS, lambda elapsed: elapsed < 60)
    assert (reply.kind, reply.text) == ("error", "")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (RecordDict({"site": ConfigRecord({"name": "A"})}), "A"),
        (RecordDict({"site": ConfigRecord({"other": "A"})}), ""),
        (RecordDict({"site": ARRAYS}), ""),
        (RecordDict(), ""),
    ],
)
def test_a_node_is_known_by_the_name_it_gives(content: RecordDict, name: str) -> None:
    assert _link(lambda _: content).identify([1], Sealed("")) == {1: Sealed(name)}


class _SilentGrid(InProcessGrid):
    def pull_messages(self, message_ids: object) -> list[Message]:
        return []


def test_waiting_ends_at_the_deadline_and_when_the_engine_stops() -> None:
    take_identity()
    stopped = threading.Event()
    link = Link(_SilentGrid(lambda *_: None, {1: context_of(1, {}, {})}), stopped)
    assert list(link.train([1], lambda _: SEALED, WEIGHTS, lambda elapsed: elapsed < 0.2)) == []
    stopped.set()
    with pytest.raises(EngineStoppedError):
        list(link.train([1], lambda _: SEALED, WEIGHTS, lambda elapsed: elapsed < 60))


class _RestartingGrid(InProcessGrid):
    """Its node starts anew after it took the first message, which is lost with it."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.lives = 1

    def get_nodes(self) -> list[NodeInfo]:
        return [NodeInfo(node_id=1, last_activated_at=f"life {self.lives}")]

    def pull_messages(self, message_ids: Sequence[str]) -> list[Message]:
        if self.lives == 1:
            self.lives = 2
            return []
        return super().pull_messages([list(message_ids)[-1]])


def test_a_node_that_started_anew_is_asked_again_with_an_order_of_its_own() -> None:
    take_identity()
    seen: list[str] = []

    def app(message: Message, context: object) -> Message:
        seen.append(str(message.content["order"]["json"]))
        return Message(RecordDict({"report": JSON, "weights": ARRAYS}), reply_to=message)

    link = Link(_RestartingGrid(app, {1: context_of(1, {}, {})}), threading.Event())
    orders = iter(["first", "second", "third"])
    replies = list(link.train([1], lambda _: Sealed(next(orders)), WEIGHTS, lambda elapsed: elapsed < 60))
    assert [reply.kind for reply in replies] == ["report"]
    assert seen == ["second"]
    assert next(orders) == "third"
