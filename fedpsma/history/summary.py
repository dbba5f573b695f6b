"""How a run stands: rounds, sites, who is late or failed and why, what patients paid and will have paid, time left.

Read from the run folder alone, whoever plays the run and wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fedpsma.contract import Federation, FederationSite, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.history.events import Event, EventLog
from fedpsma.history.reasons import plain, plain_failure
from fedpsma.history.rounds import RoundRecord, attempts_of
from fedpsma.io.dataset import parse_record
from fedpsma.io.files import is_held, read_json

# Of fewer patients nobody is told how many there are.
LEAST_PATIENTS = 5
# A site is late when half of the others have answered and it takes so many times as long as the slowest of them.
LATE_FACTOR = 2.0
Standing = Literal["prepared", "starting", "running", "finished", "stopped", "failed", "cut off"]
_Model = TypeVar("_Model", bound=BaseModel)
SiteDoing = Literal["not asked yet", "training", "late", "reported", "refused", "set aside"]


class SiteSummary(BaseModel):
    """A site as the coordinator sees it.

    ``doing`` and ``why`` are of the round that is played, or of the last one. ``rounds`` are those that counted,
    ``missed`` those it was asked in that went on without it. ``epsilon`` is what its patients have paid so far over all
    runs, ``epsilon_at_end`` a bound of what they will have paid if each round that is left costs as much as the last
    one. ``patients`` is what the site registered, ``None`` where it did not, or has fewer than five.
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


class RunSummary(BaseModel):
    """A run as it stands; ``epsilon_budget`` is what the plan promises each site's patients over all rounds.

    ``run`` is the name of its folder, ``why`` says why it ended without a model, ``round`` is the last finished one of
    ``rounds``, and ``seconds_left`` is reckoned from the rounds so far.
    """

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
    sites: tuple[SiteSummary, ...]


def events_of(run_folder: Path) -> list[Event]:
    """Return the events of a run in order; none where it has not begun.

    Raises:
        InputError: A line is no event.
    """
    log = EventLog(run_folder / "events.jsonl")
    try:
        return log.read()[0]
    except ValidationError as error:
        remedy = "check it with: fedpsma federation verify"
        raise InputError("holds a line that is no event", where=str(log.path), remedy=remedy) from error


def standing_of(run_folder: Path, events: Sequence[Event]) -> Standing:
    """Return how the run in a folder stands; one that was never begun is prepared."""
    if is_held(run_folder):
        return "running"
    if not events:
        return "prepared"
    last = events[-1]
    if last.kind == "run_failed":
        return "stopped" if last.reason == "stopped" else "failed"
    return "finished" if last.kind == "run_ended" else "cut off"


def summary_of(run_folder: Path, standing: Standing | None = None, now: datetime | None = None) -> RunSummary:
    """Return how a run stands.

    Args:
        run_folder: The folder with plan, sites and history.
        standing: How it stands, for who knows more than the folder says.
        now: The time to reckon by; the clock's if left out.

    Raises:
        InputError: There is no run in this folder, or a file of it cannot be read.
    """
    if not (run_folder / "plan.json").is_file():
        raise InputError("holds no run", where=str(run_folder), remedy="name a folder that holds plan.json")
    plan, federation = _read(TrainingPlan, run_folder / "plan.json"), _read(Federation, run_folder / "federation.json")
    events = events_of(run_folder)
    attempts = attempts_of(events)
    finished = [one for one in attempts if one.finished]
    done = finished[-1].number if finished else 0
    failed = events[-1].reason if events and events[-1].kind == "run_failed" else None
    current = attempts[-1] if attempts and not attempts[-1].finished and failed is None else None
    awaited = _late(current, now or datetime.now(UTC)) if current else {}
    return RunSummary(
        run=run_folder.resolve().name,
        standing=standing or standing_of(run_folder, events),
        why=plain_failure(failed) if failed else None,
        round=done,
        rounds=plan.rounds,
        seconds_left=_seconds_left(finished, plan.rounds - done),
        epsilon_budget=plan.target_epsilon,
        delta=None if plan.target_epsilon is None else plan.delta,
        model_sha256=next((event.model_sha256 for event in reversed(events) if event.model_sha256), None),
        sites=tuple(_site(site, events, attempts, plan.rounds - done, awaited) for site in federation.sites),
    )


def _site(
    site: FederationSite,
    events: Sequence[Event],
    attempts: Sequence[RoundRecord],
    rounds_left: int,
    awaited: Mapping[str, str],
) -> SiteSummary:
    finished = [one for one in attempts if one.finished]
    counted = sum(site.name in one.epsilon for one in finished)
    paid = _paid(site.name, attempts)
    doing, why = _doing(site.name, events)
    if doing == "training" and site.name in awaited:
        doing, why = "late", awaited[site.name]
    return SiteSummary(
        site=site.name,
        doing=doing,
        why=why,
        rounds=counted,
        missed=sum(site.name in one.asked for one in finished) - counted,
        epsilon=paid[-1] if paid else None,
        epsilon_at_end=_projected(paid, rounds_left),
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


def _late(current: RoundRecord, now: datetime) -> dict[str, str]:
    """Return the sites that keep a round waiting far longer than the others did, with the words for it."""
    waiting = [site for site in current.asked if site not in current.epsilon and site not in current.missing]
    answered = current.answered_s.values()
    elapsed = (now - current.started).total_seconds()
    if not answered or 2 * len(answered) < len(current.asked) - 1 or elapsed <= LATE_FACTOR * max(answered):
        return {}
    words = f"{elapsed:.0f} s so far; the others took {max(answered):.0f} s at most"
    return {site: words for site in waiting}


def _paid(name: str, attempts: Sequence[RoundRecord]) -> list[float]:
    """Return what a site's patients had paid after each round; a round that was played again counts once."""
    told = {one.number: one.paid.get(name) for one in attempts}
    return [epsilon for epsilon in told.values() if epsilon is not None]


def _projected(paid: Sequence[float], rounds_left: int) -> float | None:
    """Return a bound: loss grows ever more slowly, so no further round costs more than the last one did."""
    if not paid:
        return None
    last = paid[-1] - (paid[-2] if len(paid) > 1 else 0.0)
    return paid[-1] + max(0, rounds_left) * max(0.0, last)


def _seconds_left(finished: Sequence[RoundRecord], rounds_left: int) -> float | None:
    seconds = [one.seconds for one in finished if one.seconds is not None]
    return round(rounds_left * sum(seconds) / len(seconds), 1) if seconds else None


def _read(kind: type[_Model], path: Path) -> _Model:
    return parse_record(kind, read_json(path), str(path))
