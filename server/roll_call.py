"""Who is there at the beginning of a round, and whom of them it asks."""

from __future__ import annotations

import time
from collections.abc import Mapping

from server.participation import drawn_sites
from server.run_in_play import RunInPlay

ARRIVAL_S = 120.0
ROLL_CALL_PAUSE_S = 0.2


def drawn(run: RunInPlay, present: Mapping[int, str], number: int) -> dict[int, str]:
    """Return the sites that are asked in a round, by node, out of those that are there."""
    names = drawn_sites(list(present.values()), run.rules.participation, draw_key(run, number))
    return {node: name for node, name in present.items() if name in names}


def draw_key(run: RunInPlay, number: int) -> str:
    """Return what the draws of a round depend on."""
    # Not by the run's random name where there is a seed, so that two simulations with one seed ask the same sites.
    key = f"{run.federation.run if run.plan.seed is None else run.plan.seed}/{number}"
    # A round that failed for want of sites is drawn anew, or it would fail for ever; one that was cut off is repeated.
    return f"{key}/{run.failed[number]}" if run.failed[number] else key


def roll_call(run: RunInPlay, *, everyone: bool) -> dict[int, str]:
    """Return the sites that are there by node, after waiting for all of them or for as many as a round needs."""
    wanted = len(run.federation.sites) if everyone else _wanted(run)
    deadline = time.monotonic() + ARRIVAL_S
    while True:
        nodes = run.link.nodes()
        _learn_names(run, [node for node in nodes if node not in run.names])
        present = {node: run.names[node] for node in nodes if run.names.get(node)}
        if len(present) >= wanted or time.monotonic() > deadline:
            return _without_doubles(run, present)
        run.link.pause(ROLL_CALL_PAUSE_S)


def _wanted(run: RunInPlay) -> int:
    """Return how many sites a round waits for before it begins: what it needs, as far as it would ask so many."""
    asked = run.rules.participation.sites_per_round or len(run.federation.sites)
    needed = max(run.plan.min_sites, run.rules.strategy.least_updates)
    return min(needed, asked, len(run.federation.sites))


def _learn_names(run: RunInPlay, nodes: list[int]) -> None:
    if not nodes:
        return
    admitted = {site.name for site in run.federation.sites}
    question = run.signing.question()
    for node, answer in run.link.identify(nodes, question).items():
        known = answer.text in admitted
        trusted = known and run.signing.is_at(answer.text, question, answer.signature)
        run.names[node] = answer.text if trusted else ""
        if not known:
            run.events.append("site_quarantined", reason="unknown_site")
        elif not trusted:
            run.events.append("site_quarantined", site=answer.text, reason="key_not_trusted")


def _without_doubles(run: RunInPlay, present: dict[int, str]) -> dict[int, str]:
    names = list(present.values())
    doubles = {name for name in names if names.count(name) > 1}
    for name in sorted(doubles):
        run.events.append("site_quarantined", site=name, reason="duplicate_site")
    return {node: name for node, name in present.items() if name not in doubles}
