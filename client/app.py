"""The Flower ClientApp of a site: ``client.app:app``.

At a real site it is a thin shim: the steward (:mod:`client.steward`) decides, trains and signs in a process of its own,
and this one passes messages on. In a simulation nothing stands between it and :mod:`client.site`.
"""

from __future__ import annotations

from client.envelope import Envelope
from client.flower import Config, RunWatch, build_app

STEWARD = "steward"


def answer(asked: Envelope, node_config: Config, run_config: Config) -> Envelope:
    """Let the steward answer that the node names, or the simulated site."""
    # Loaded when needed, because the one is to start fast and the other brings the model along.
    if STEWARD in node_config:
        from client.wire import ask

        watch = RunWatch.of(node_config)
        return ask(str(node_config[STEWARD]), asked, None if watch is None else lambda: watch.is_over(asked))
    from client.site import answer_envelope, locate_site

    return answer_envelope(locate_site(node_config, run_config), asked)


app = build_app(answer)
