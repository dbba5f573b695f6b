"""What runs in place of ``flwr-clientapp`` at a real site: code that nobody approved is given to the steward, not run.

Flower's folder has a program of that name, which :mod:`client.steward.supernode` puts first in the search path of
Flower's processes. This process has no key and no file of the site: the steward decides, and signs what refuses.
"""

from __future__ import annotations

import base64
import os
from dataclasses import replace

from client.envelope import ADMITTED, CODE, NAME, TEXT, UNAPPROVED, Envelope
from client.flower import Config, run_gated
from client.wire import ask
from fedpsma.contract import SITE

SOCKET_VARIABLE = "FEDPSMA_STEWARD"


def admits(socket: str, bundle: bytes) -> bool:
    """Return whether the steward at a socket lets this bundle of code run."""
    content = base64.b64encode(bundle).decode("ascii")
    return ask(socket, Envelope(CODE, {SITE: {TEXT: content}})).records[SITE][NAME] == ADMITTED


def refusal(socket: str, asked: Envelope) -> Envelope:
    """Return the steward's signed answer to a message whose code it has not let run."""
    reply = ask(socket, replace(asked, kind=f"{UNAPPROVED}{asked.kind}", arrays={}))
    return replace(reply, kind=asked.kind)


def main() -> None:
    """Be ``flwr-clientapp`` for the site whose steward the environment names."""
    socket = os.environ[SOCKET_VARIABLE]

    def refuse(asked: Envelope, node_config: Config, run_config: Config) -> Envelope:
        return refusal(socket, asked)

    run_gated(lambda bundle: admits(socket, bundle), refuse)


if __name__ == "__main__":
    main()
