"""What runs in place of ``flwr-clientapp`` at a real site: code that nobody approved is kept to be looked at, not run.

The site's folder has a program of that name, which :mod:`client.steward.supernode` puts first in the search path of
Flower's processes.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from client.envelope import QUERY, Envelope, about
from client.flower import Config, run_gated
from client.steward.code import CodeBook
from client.steward.events import SiteLog
from client.steward.home import SiteHome
from client.steward.orders import OrderDesk
from client.steward.voice import Voice
from fedpsma.contract import IDENTIFY

HOME_VARIABLE = "FEDPSMA_SITE"


def admits(home: SiteHome, bundle: bytes) -> bool:
    """Return whether a person has approved this bundle of code; one that came for the first time is kept and noted."""
    book = CodeBook(home.code_path)
    sha256 = hashlib.sha256(bundle).hexdigest()
    is_new = not book.has(sha256)
    book.keep(bundle)
    if book.is_approved(sha256):
        return True
    if is_new:
        SiteLog(home.events_path).append("code_arrived", sha256=sha256)
    return False


def refusal(home: SiteHome, asked: Envelope) -> Envelope:
    """Return the signed answer of a site that has not approved the code."""
    voice = Voice.of(home)
    if asked.kind == f"{QUERY}{IDENTIFY}":
        return voice.name(asked, known=OrderDesk.of(home).asks(asked))
    run, number = about(asked)
    SiteLog(home.events_path).append("refused", run=run, round=number, reason="code_not_approved")
    return voice.refusal(asked, run, number, "code_not_approved")


def main() -> None:
    """Be ``flwr-clientapp`` for the site whose folder the environment names."""
    home = SiteHome(Path(os.environ[HOME_VARIABLE]))

    def refuse(asked: Envelope, node_config: Config, run_config: Config) -> Envelope:
        return refusal(home, asked)

    run_gated(lambda bundle: admits(home, bundle), refuse)


if __name__ == "__main__":
    main()
