"""Everything the client uses of Flower, so that an upgrade touches one file.

Nothing but coded answers passes this boundary: Flower would send the text of an exception to the server verbatim.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from client.envelope import KEYS, RECORDS, Envelope
from fedpsma.contract import IDENTIFY, STAGES, WEIGHTS
from fedpsma.packing import FORMAT, PACKED, pack, unpack

Config = Mapping[str, Any]
# What the configuration of a node says beside the steward: where the coordinator is, and what a call needs.
COORDINATOR, AUTHORITY, NODE_KEY = "coordinator", "authority", "node-key"
Answer = Callable[[Envelope, Config, Config], Envelope]
"""Answers a message, given the configuration of the node and that of the run."""


def build_app(answer: Answer) -> ClientApp:
    """Return a Flower ClientApp that answers ``train``, ``query.identify`` and the stages of secure aggregation."""

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
    for name in (IDENTIFY, *STAGES):
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
    # Taken out of the message, so that the memory is free as soon as it is unpacked.
    weights = message.content.pop(WEIGHTS) if WEIGHTS in message.content.array_records else {}
    return Envelope(asked.kind, records, _unpacked(weights), asked.flower_run, asked.node)


def _unpacked(record: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
    return {name: array.numpy() for name, array in unpack(record[PACKED].data).items()} if record else {}


def _content(reply: Envelope) -> RecordDict:
    content = RecordDict({record: ConfigRecord(dict(texts)) for record, texts in reply.records.items()})
    if reply.arrays:
        packed = pack(reply.arrays)
        reply.let_go()
        content[WEIGHTS] = ArrayRecord({PACKED: Array("uint8", (len(packed),), FORMAT, packed)})
    return content


def run_gated(admits: Callable[[bytes], bool], refuse: Answer) -> None:
    """Be ``flwr-clientapp``, but look at the application code before any of it is unpacked or loaded.

    Uses parts of Flower that are not public; a contract test names them.

    Args:
        admits: Whether this bundle of code may run here.
        refuse: Answers where it may not.
    """
    from flwr.supernode.runtime import run_clientapp as process

    install, loader = process.install_from_fab, process.get_load_client_app_fn
    gate = _Gate(admits, refuse)
    process.install_from_fab = lambda content, **options: gate.install(install, content, options)
    process.get_load_client_app_fn = lambda **options: lambda *names: gate.load(loader(**options), names)
    clientapp_command()()


def clientapp_command() -> Callable[[], None]:
    """Return what Flower's ``flwr-clientapp`` does, without its package, which loads the server of the SuperNode too.

    That would be a third of the memory that a process of one message takes.
    """
    (package,) = import_module("flwr.supernode").__path__
    spec = spec_from_file_location("flwr_clientapp", Path(package, "cli", "flwr_clientapp.py"))
    if spec is None or spec.loader is None:
        raise ImportError("flwr_clientapp")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    command: Callable[[], None] = module.flwr_clientapp
    return command


@dataclass
class _Gate:
    admits: Callable[[bytes], bool]
    refuse: Answer
    admitted: str = ""

    def install(self, install: Callable[..., Any], content: bytes, options: Mapping[str, Any]) -> None:
        with suppress(Exception):
            if self.admits(content):
                install(content, **options)
                self.admitted = hashlib.sha256(content).hexdigest()

    def load(self, load: Callable[..., ClientApp], names: tuple[str, ...]) -> Callable[..., Message]:
        """Return the app, or what refuses instead; its last name is the hash that the bundle is said to have."""
        if not self.admitted or names[-1] != self.admitted:
            closed: Callable[..., Message] = build_app(self.refuse)
            return closed
        # What this process has loaded of the installation would stand in for the code that came.
        for module in [name for name in sys.modules if name.split(".")[0] == "client"]:
            del sys.modules[module]
        return _silent(lambda: load(*names))


def _silent(load: Callable[[], ClientApp]) -> Callable[..., Message]:
    """Return an app that answers with a code where its code cannot be loaded or raises."""

    def answer(message: Message, context: Context) -> Message:
        try:
            return load()(message, context)
        except Exception:
            return Message(_content(Envelope("").refusal("", 0, "internal_error")), reply_to=message)

    return answer


@dataclass(frozen=True)
class RunWatch:
    """Asks the coordinator whether a run still goes on.

    A node takes one message at a time, so nothing that the coordinator sends reaches a site while it trains; but the
    end of its run can be asked for.
    """

    address: str
    ca_certificate: bytes
    node_key: bytes

    @classmethod
    def of(cls, node_config: Config) -> RunWatch | None:
        """Return the watch that the configuration of a node names, if it does."""
        if COORDINATOR not in node_config:
            return None
        authority, key = (Path(str(node_config[name])).read_bytes() for name in (AUTHORITY, NODE_KEY))
        return cls(str(node_config[COORDINATOR]), authority, key)

    def is_over(self, asked: Envelope) -> bool:
        """Return whether the run of a message has ended; not known, as without a network, is no."""
        import httpx
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key
        from flwr.proto.node_pb2 import Node
        from flwr.proto.run_pb2 import GetRunRequest
        from flwr.supercore.error import ApiErrorCode, FlowerError
        from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
        from flwr.supernode.fleet_http_client import FleetHttpClient
        from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

        key = load_ssh_private_key(self.node_key, None)
        signed = [RuntimeVersionHttpInterceptor("SuperNode"), NodeAuthHttpInterceptor(key, key.public_key())]
        question = GetRunRequest(node=Node(node_id=asked.node), run_id=asked.flower_run)
        try:
            with FleetHttpClient.from_server_address(self.address, False, self.ca_certificate, signed) as client:
                client.GetRun(question)
        except httpx.HTTPStatusError as error:
            found = FlowerError.from_json(error.response.text)
            return found is not None and found.code == ApiErrorCode.FLEET_RUN_STATUS_NOT_ALLOWED
        except (httpx.HTTPError, RuntimeError, OSError):
            return False
        return False
