"""Everything the client uses of Flower, so that an upgrade touches one file.

Nothing but coded answers passes this boundary: Flower would send the text of an exception to the server verbatim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from client.envelope import KEYS, RECORDS, Envelope
from fedpsma.contract import IDENTIFY, STAGES, STOP, WEIGHTS

Config = Mapping[str, Any]
Answer = Callable[[Envelope, Config, Config], Envelope]
"""Answers a message, given the configuration of the node and that of the run."""


def build_app(answer: Answer) -> ClientApp:
    """Return a Flower ClientApp that answers ``train``, ``query.identify``, ``query.stop`` and the secure stages."""

    def handle(message: Message, context: Context) -> Message:
        asked = Envelope(message.metadata.message_type, flower_run=context.run_id, node=context.node_id)
        try:
            content = _content(answer(_opened(message, asked), context.node_config, context.run_config))
        except Exception:
            # Not even its name is known for certain here; the server knows it from the node.
            content = _content(asked.refusal("", 0, "internal_error"))
        return Message(content, reply_to=message)

    app = ClientApp()
    app.train()(handle)
    for name in (IDENTIFY, STOP, *STAGES):
        app.query(name)(handle)
    return app


def _opened(message: Message, asked: Envelope) -> Envelope:
    """Return what the contract knows of a message; anything else in it is left behind."""
    found = message.content.config_records
    records = {
        record: {key: str(found[record][key]) for key in KEYS if key in found[record]}
        for record in RECORDS
        if record in found
    }
    weights = message.content.array_records.get(WEIGHTS, {})
    arrays = {name: array.numpy() for name, array in weights.items()}
    return Envelope(asked.kind, records, arrays, asked.flower_run, asked.node)


def _content(reply: Envelope) -> RecordDict:
    content = RecordDict({record: ConfigRecord(dict(texts)) for record, texts in reply.records.items()})
    if reply.arrays:
        content[WEIGHTS] = ArrayRecord({name: Array(reply.arrays[name]) for name in sorted(reply.arrays)})
    return content
