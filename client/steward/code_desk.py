"""What the steward says of code that came to Flower's process: kept, noted, let run or refused."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace

from client.envelope import ADMITTED, NAME, QUERY, UNAPPROVED, Envelope, about
from client.refusal import RefusalError
from client.steward.code import CodeBook
from client.steward.events import SiteLog
from client.steward.home import SiteHome
from client.steward.orders import OrderDesk
from client.steward.voice import Voice
from fedpsma.contract import IDENTIFY, SITE


@dataclass(frozen=True)
class CodeDesk:
    """Answers Flower's process of the site whose folder this is."""

    home: SiteHome

    def looked_at(self, asked: Envelope) -> Envelope:
        """Answer whether the bundle in a message may run.

        Raises:
            RefusalError: It is none.
        """
        try:
            bundle = base64.b64decode(asked.text(SITE), validate=True)
            admitted = self.admits(bundle)
        except (KeyError, ValueError) as error:
            raise RefusalError("protocol_violated") from error
        return asked.reply(SITE, {NAME: ADMITTED if admitted else ""})

    def admits(self, bundle: bytes) -> bool:
        """Return whether a person has approved this bundle; one that came for the first time is kept and noted."""
        book = CodeBook(self.home.code_path)
        sha256 = hashlib.sha256(bundle).hexdigest()
        is_new = not book.has(sha256)
        book.keep(bundle)
        if book.is_approved(sha256):
            return True
        if is_new:
            SiteLog(self.home.events_path).append("code_arrived", sha256=sha256)
        return False

    def refusal(self, unapproved: Envelope) -> Envelope:
        """Return the signed answer to a message whose code was not let run."""
        asked, voice = replace(unapproved, kind=unapproved.kind.removeprefix(UNAPPROVED)), Voice.of(self.home)
        if asked.kind == f"{QUERY}{IDENTIFY}":
            return voice.name(asked, known=OrderDesk.of(self.home).asks(asked))
        run, number = about(asked)
        SiteLog(self.home.events_path).append("refused", run=run, round=number, reason="code_not_approved")
        return voice.refusal(asked, run, number, "code_not_approved")
