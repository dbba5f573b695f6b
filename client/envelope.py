"""A message between coordinator and site without Flower: its kind, its texts and its arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from fedpsma.contract import ORDER, REFUSAL, REPORT, SECURE, SITE, RefusalReason, SiteRefusal
from fedpsma.joining.signatures import SIGNATURE

Records = Mapping[str, Mapping[str, str]]
Arrays = Mapping[str, NDArray[Any]]

TRAIN, QUERY = "train", "query."
# Between Flower's process and the steward: a bundle of code to be looked at, and messages whose code may not run.
CODE, UNAPPROVED, ADMITTED = "code", "unapproved.", "admitted"
# Where an account of its own runs Flower: it asks what to connect to, and tells what it sees of the connection.
POST, NOTE = "post", "note"
TEXT, NAME = "json", "name"
RECORDS = (ORDER, REPORT, REFUSAL, SECURE, SITE)
KEYS = (TEXT, NAME, SIGNATURE)
_LONGEST_RUN = 128


@dataclass(frozen=True)
class Envelope:
    """What comes to a site, or what leaves it.

    ``kind`` is "train" or "query." and a name, as Flower has it. ``records`` holds texts by record and key, ``arrays``
    the weights. ``flower_run`` and ``node`` are Flower's numbers for the run and for this site, by which the site can
    ask whether the run still goes on.
    """

    kind: str
    records: Records = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)
    flower_run: int = 0
    node: int = 0

    def text(self, record: str) -> str:
        """Return the JSON text of a record.

        Raises:
            KeyError: It has none.
        """
        return self.records[record][TEXT]

    def signature(self, record: str) -> str:
        """Return the signature of a record, empty where it has none."""
        return self.records.get(record, {}).get(SIGNATURE, "")

    def reply(self, record: str, texts: Mapping[str, str], arrays: Arrays | None = None) -> Envelope:
        """Return an answer with one record."""
        return replace(self, records={record: dict(texts)}, arrays=dict(arrays or {}))

    def let_go(self) -> None:
        """Hold the arrays no longer, once they are elsewhere: a large set is not to lie in memory twice."""
        object.__setattr__(self, "arrays", {})

    def refusal(self, site: str, number: int, reason: RefusalReason, senders: tuple[str, ...] = ()) -> Envelope:
        """Return a refusal as the answer."""
        refused = SiteRefusal(site=site, round=number, reason=reason, senders=senders)
        return self.reply(REFUSAL, {TEXT: refused.model_dump_json()})


def about(asked: Envelope) -> tuple[str, int]:
    """Return the run and the round that a message claims to be about, fit to be shown; nothing of it is checked.

    Example:
        >>> about(Envelope("train", {"order": {"json": '{"run": "r", "round": 3}'}}))
        ('r', 3)
    """
    for record in (ORDER, SECURE):
        try:
            told = json.loads(asked.text(record))
            told = told.get("session", told)
            run = "".join(char if char.isprintable() else "?" for char in str(told["run"])[:_LONGEST_RUN])
            return run, int(told.get("round", 0))
        except (KeyError, ValueError, TypeError, AttributeError):
            continue
    return "", 0
