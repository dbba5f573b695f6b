"""The last report that left a site, kept until the next round begins.

A coordinator whose process died in a round asks for the round again. What it is owed was paid for and has left once
already, so the same report leaves again: nothing trains, and no patient pays twice. Under secure aggregation nothing
is kept: masked for other sites, an update may be sent once only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from client.envelope import Arrays, Envelope
from client.steward.voice import is_report
from fedpsma.contract import SECURE, RoundOrder
from fedpsma.io.files import write_bytes
from fedpsma.joining.signatures import arrays_sha256

_ORDER, _RECORDS = "order", "records"


@dataclass(frozen=True)
class KeptReport:
    """One file, readable by its owner alone, with the weights and what makes them the answer to an order."""

    path: Path

    def keep(self, order: RoundOrder, asked: Envelope, reply: Envelope) -> None:
        """Keep a signed report in place of the one before; without room on the disk nothing is kept.

        Raises:
            OSError: It cannot be written.
        """
        self.forget()
        if is_report(reply) and SECURE not in asked.records:
            about = {_ORDER: _same_order(order, asked.arrays), _RECORDS: json.dumps(reply.records)}
            write_bytes(self.path, save(dict(reply.arrays), about), private=True)

    def answer_to(self, order: RoundOrder, asked: Envelope) -> Envelope | None:
        """Return the kept report if it answers this order, given at whatever time."""
        if SECURE in asked.records or not self.path.exists():
            return None
        try:
            with safe_open(self.path, "numpy") as kept:
                about: Mapping[str, str] = kept.metadata()
                if about[_ORDER] != _same_order(order, asked.arrays):
                    return None
                (record, texts) = next(iter(json.loads(about[_RECORDS]).items()))
                return asked.reply(record, texts, {name: kept.get_tensor(name) for name in kept.keys()})  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError):
            return None

    def forget(self) -> None:
        """Keep nothing."""
        self.path.unlink(missing_ok=True)


def _same_order(order: RoundOrder, weights: Arrays) -> str:
    """Return what orders have in common that differ in their date alone."""
    undated = order.model_copy(update={"issued": None})
    return f"{arrays_sha256(weights)} {undated.model_dump_json()}"
