"""What a site says, signed with its key, so that nobody on the way can say it for the site or change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.envelope import NAME, TEXT, Arrays, Envelope
from client.steward.home import SiteHome
from fedpsma.contract import REFUSAL, REPORT, SECURE, SITE, RefusalReason, SiteRefusal
from fedpsma.joining.signatures import SIGNATURE, Statement, arrays_sha256, sign
from fedpsma.secure_aggregation.identity import identity_of


@dataclass(frozen=True)
class Voice:
    """Signs for one site in one federation."""

    federation: str
    site: str
    key: Ed25519PrivateKey

    @classmethod
    def of(cls, home: SiteHome) -> Voice:
        """Return the voice of the site whose folder this is.

        Raises:
            InputError: It is no site, or has joined nothing.
        """
        return cls(home.bundle().federation, home.request().site, identity_of(home.folder))

    def name(self, asked: Envelope, *, known: bool) -> Envelope:
        """Answer who this site is.

        Args:
            asked: The question; what it says is signed, so that the answer serves once.
            known: Whether it comes from the coordinator; for nobody else anything is signed.
        """
        if not known:
            return asked.reply(SITE, {NAME: self.site})
        question = asked.text(SITE)
        texts = {NAME: self.site, TEXT: question}
        return asked.reply(SITE, {**texts, SIGNATURE: self._signature("answer", "", 0, question)})

    def refusal(
        self, asked: Envelope, run: str, number: int, reason: RefusalReason, senders: tuple[str, ...] = ()
    ) -> Envelope:
        """Refuse an order of a run."""
        return self.signed(asked.refusal(self.site, number, reason, senders), run, number)

    def signed(self, reply: Envelope, run: str, number: int) -> Envelope:
        """Return a report, a refusal or an answer of secure aggregation with its signature."""
        (record,) = reply.records
        kind: Literal["answer", "report"] = "answer" if record == SECURE else "report"
        signature = self._signature(kind, run, number, reply.text(record), reply.arrays)
        texts: Mapping[str, str] = {**reply.records[record], SIGNATURE: signature}
        return replace(reply, records={record: texts})

    def _signature(
        self, kind: Literal["answer", "report"], run: str, number: int, text: str, arrays: Arrays | None = None
    ) -> str:
        weights = arrays_sha256(arrays) if arrays else ""
        return sign(Statement(kind, self.federation, run, number, self.site, text, weights), self.key)


def refusal_in(reply: Envelope) -> SiteRefusal | None:
    """Return the refusal that a reply is, if it is one."""
    return SiteRefusal.model_validate_json(reply.text(REFUSAL)) if REFUSAL in reply.records else None


def is_report(reply: Envelope) -> bool:
    """Return whether a reply brings weights."""
    return set(reply.records) == {REPORT}
