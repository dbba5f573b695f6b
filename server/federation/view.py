"""How a run stands, read from its history: the one source of the terminal, of JSON and of whoever else asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fedpsma.contract import Federation
from server.events import Event
from server.federation.runs import FederationRun, Standing
from server.reasons import plain

# Of fewer patients nobody is told how many there are.
LEAST_PATIENTS = 5
SiteDoing = Literal["not asked yet", "training", "reported", "refused", "set aside"]


class SiteView(BaseModel):
    """A site as the coordinator sees it.

    ``rounds`` are those that counted; ``epsilon`` is what its patients have paid so far over all of them,
    ``epsilon_at_end`` a bound of what they will have paid if the last round's price is paid for every round that is
    left. ``patients`` is what the site registered, ``None`` where it did not, or has fewer than five.
    """

    model_config = ConfigDict(frozen=True)

    site: str
    doing: SiteDoing
    why: str | None
    rounds: int
    missed: int
    epsilon: float | None
    epsilon_at_end: float | None
    patients: int | None


class RunView(BaseModel):
    """A run as it stands; ``epsilon_budget`` is what the plan promises each site's patients over all rounds."""

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    run: str
    standing: Standing
    why: str | None
    round: int
    rounds: int
    seconds_left: float | None
    epsilon_budget: float | None
    delta: float | None
    model_sha256: str | None
    sites: tuple[SiteView, ...]


def view_of(run: FederationRun) -> RunView:
    """Return how a run stands now."""
    events, _ = run.folder.events.read()
    plan, federation = run.folder.plan(), run.folder.federation()
    ended = [event for event in events if event.kind == "round_ended"]
    done = max((event.round or 0 for event in ended), default=0)
    failed = events[-1].reason if events and events[-1].kind == "run_failed" else None
    private = plan.target_epsilon is not None
    return RunView(
        run=run.name,
        standing=run.standing,
        why=plain(failed) if failed else None,
        round=done,
        rounds=plan.rounds,
        seconds_left=_seconds_left(ended, plan.rounds - done),
        epsilon_budget=plan.target_epsilon,
        delta=plan.delta if private else None,
        model_sha256=next((event.model_sha256 for event in reversed(events) if event.model_sha256), None),
        sites=tuple(_site(name, federation, events, plan.rounds - done) for name in _names(federation)),
    )


def _names(federation: Federation) -> list[str]:
    return sorted(site.name for site in federation.sites)


def _site(name: str, federation: Federation, events: Sequence[Event], rounds_left: int) -> SiteView:
    own = [event for event in events if event.site == name]
    paid = [event.epsilon for event in own if event.epsilon is not None]
    doing, why = _doing(name, events)
    registered = next(site.patients for site in federation.sites if site.name == name)
    return SiteView(
        site=name,
        doing=doing,
        why=why,
        rounds=sum(event.kind == "site_reported" for event in own),
        missed=sum(event.kind in ("site_refused", "site_quarantined") for event in own),
        epsilon=paid[-1] if paid else None,
        epsilon_at_end=_projected(paid, rounds_left),
        patients=registered if registered is not None and registered >= LEAST_PATIENTS else None,
    )


def _doing(name: str, events: Sequence[Event]) -> tuple[SiteDoing, str | None]:
    """Return what a site does in the round that is played, or did in the last one."""
    for event in reversed(events):
        if event.kind == "round_started" and name in (event.sites or ()):
            over = any(later.kind in ("round_ended", "run_failed") for later in events[events.index(event) :])
            return ("not asked yet" if over else "training"), None
        if event.site == name and event.kind == "site_reported":
            return "reported", None
        if event.site == name and event.kind == "site_refused":
            return "refused", plain(event.reason)
        if event.site == name and event.kind == "site_quarantined":
            return "set aside", plain(event.reason)
    return "not asked yet", None


def _projected(paid: Sequence[float], rounds_left: int) -> float | None:
    """Return a bound: each further round costs at most as much as the last one, because loss grows ever more slowly."""
    if not paid:
        return None
    last = paid[-1] - (paid[-2] if len(paid) > 1 else 0.0)
    return paid[-1] + max(0, rounds_left) * max(0.0, last)


def _seconds_left(ended: Sequence[Event], rounds_left: int) -> float | None:
    seconds = [event.seconds for event in ended if event.seconds is not None]
    return round(rounds_left * sum(seconds) / len(seconds), 1) if seconds else None
