"""How a run stands, read from its history: the one source of the terminal, of JSON and of whoever else asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fedpsma.contract import FederationSite
from server.events import Event
from server.federation.runs import FederationRun, Standing
from server.reasons import plain, plain_failure
from server.run_folder import RoundState, SiteState

# Of fewer patients nobody is told how many there are.
LEAST_PATIENTS = 5
SiteDoing = Literal["not asked yet", "training", "reported", "refused", "set aside"]


class SiteView(BaseModel):
    """A site as the coordinator sees it.

    ``rounds`` are those that counted, ``missed`` those it was asked in that went on without it. ``epsilon`` is what its
    patients have paid so far over all runs, ``epsilon_at_end`` a bound of what they will have paid if each round that
    is left costs as much as the last one. ``patients`` is what the site registered, ``None`` where it did not, or has
    fewer than five.
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
    state = run.folder.last_state()
    failed = events[-1].reason if events and events[-1].kind == "run_failed" else None
    private = plan.target_epsilon is not None
    return RunView(
        run=run.name,
        standing=run.standing,
        why=plain_failure(failed) if failed else None,
        round=state.round,
        rounds=plan.rounds,
        seconds_left=_seconds_left(ended, plan.rounds - state.round),
        epsilon_budget=plan.target_epsilon,
        delta=plan.delta if private else None,
        model_sha256=next((event.model_sha256 for event in reversed(events) if event.model_sha256), None),
        sites=tuple(_site(site, state, events, plan.rounds) for site in federation.sites),
    )


def _site(site: FederationSite, state: RoundState, events: Sequence[Event], rounds: int) -> SiteView:
    paid = [event.epsilon for event in events if event.site == site.name and event.epsilon is not None]
    started = (event for event in events if event.kind == "round_started" and site.name in (event.sites or ()))
    asked = {event.round for event in started if (event.round or 0) <= state.round}
    counted = state.sites.get(site.name, SiteState()).rounds
    doing, why = _doing(site.name, events)
    return SiteView(
        site=site.name,
        doing=doing,
        why=why,
        rounds=counted,
        missed=len(asked) - counted,
        epsilon=paid[-1] if paid else None,
        epsilon_at_end=_projected(paid, rounds - state.round),
        patients=site.patients if site.patients is not None and site.patients >= LEAST_PATIENTS else None,
    )


def _doing(name: str, events: Sequence[Event]) -> tuple[SiteDoing, str | None]:
    """Return what a site does in the round that is played, or did in the last one."""
    over = False
    for event in reversed(events):
        over = over or event.kind in ("round_ended", "run_failed")
        if event.kind == "round_started" and name in (event.sites or ()):
            return ("not asked yet" if over else "training"), None
        if event.site == name and event.kind == "site_reported":
            return "reported", None
        if event.site == name and event.kind in ("site_refused", "site_quarantined"):
            return ("refused" if event.kind == "site_refused" else "set aside"), plain(event.reason)
    return "not asked yet", None


def _projected(paid: Sequence[float], rounds_left: int) -> float | None:
    """Return a bound: loss grows ever more slowly, so no further round costs more than the last one did."""
    if not paid:
        return None
    last = paid[-1] - (paid[-2] if len(paid) > 1 else 0.0)
    return paid[-1] + max(0, rounds_left) * max(0.0, last)


def _seconds_left(ended: Sequence[Event], rounds_left: int) -> float | None:
    seconds = [event.seconds for event in ended if event.seconds is not None]
    return round(rounds_left * sum(seconds) / len(seconds), 1) if seconds else None
