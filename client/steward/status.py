"""What a site does now, what it has spent, and what happened last; nothing of it leaves."""

from __future__ import annotations

import fcntl
import os
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from rich.table import Table
from rich.text import Text

from client.commands.spending import spending_of
from client.ledger import LedgerError
from client.payment import ledger_of
from client.policy import SitePolicy, problem_of, read_policy
from client.steward.code import CodeBook, short
from client.steward.events import SiteEvent, SiteLog
from client.steward.home import Pause, SiteHome
from client.steward.joining import certificate_end, ends_soon
from client.steward.reach import WORDS, Unreached
from fedpsma.errors import InputError
from fedpsma.history.reasons import plain
from fedpsma.joining.clocks import skew_in_words
from fedpsma.joining.records import JoinBundle
from fedpsma.training.trainer import load_trainer

EVENTS_SHOWN = 10
_ENDS_ROUND = ("round_released", "refused", "ended")


class SiteStatus(BaseModel):
    """The state of a site.

    ``trains`` names run and round that train now. ``epsilon`` is what the patients have paid over all rounds, ``None``
    where a round had no privacy; ``unreached`` is why it is not connected; ``clock_ahead_s`` how far the clock here is
    ahead of the coordinator's, where that is much; ``certificate_ends`` when the first of the coordinator's
    certificates ends, as far as is known; ``problem`` says what has to be put right before a round can run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    site: str
    federation: str | None
    address: str | None
    running: bool
    connected: bool
    unreached: Unreached | None
    clock_ahead_s: float | None
    paused: Pause | None
    trains: str | None
    epsilon: float | None
    budget: float | None
    code_waiting: tuple[str, ...]
    certificate_ends: datetime | None
    problem: str | None
    last: tuple[SiteEvent, ...]


def status_of(home: SiteHome) -> SiteStatus:
    """Return the state of a site, from its files alone.

    Raises:
        InputError: This is no site.
    """
    request = home.request()
    events = SiteLog(home.events_path).read()
    running = _is_running(home)
    bundle = home.bundle() if home.joined else None
    epsilon, policy, problem = _spent(home)
    return SiteStatus(
        site=request.site,
        federation=None if bundle is None else bundle.federation,
        address=None if bundle is None else bundle.address,
        running=running,
        connected=running and _is_connected(events),
        unreached=_unreached(events) if running else None,
        clock_ahead_s=_clock_ahead(events) if running else None,
        paused=home.paused,
        trains=_trains(events) if running else None,
        epsilon=epsilon,
        budget=None if policy is None else policy.epsilon_budget,
        code_waiting=tuple(CodeBook(home.code_path).waiting()),
        certificate_ends=None if bundle is None else _certificate_end(bundle, events),
        problem=problem,
        last=tuple(events[-EVENTS_SHOWN:]),
    )


def status_table(found: SiteStatus) -> Table:
    """Return it for the terminal."""
    table = Table(box=None, show_header=False, pad_edge=False)
    rows = {
        "site": found.site,
        "federation": "none" if found.federation is None else f"{found.federation} at {found.address}",
        "process": _process(found),
        "clock": _clock(found),
        "trains": found.trains or "nothing now",
        "paid by its patients": _paid(found),
        "code that waits": ", ".join(map(short, found.code_waiting)) or "none",
        "certificate until": _until(found.certificate_ends),
        "to put right": found.problem or "nothing",
    }
    for name, value in rows.items():
        table.add_row(Text(name, style="dim"), Text(value))
    for event in found.last:
        table.add_row(Text(event.time[:19].replace("T", " "), style="dim"), Text(_told(event)))
    return table


def _spent(home: SiteHome) -> tuple[float | None, SitePolicy | None, str | None]:
    try:
        policy = read_policy(home.folder)
    except (OSError, ValueError) as error:
        return None, None, f"site.toml: {problem_of(error)}"
    if policy.dataset is None:
        return None, policy, "site.toml names no dataset"
    ledger = ledger_of(policy, home.folder, policy.dataset)
    try:
        if not ledger.entries():
            # Without loading what turns charges into epsilon.
            return 0.0, policy, None
        spending = spending_of(ledger, load_trainer(policy.trainer))
    except (LedgerError, InputError, OSError) as error:
        return None, policy, str(error)
    return spending.epsilon, policy, None


def _is_running(home: SiteHome) -> bool:
    """Return whether a process holds the folder."""
    handle = os.open(home.folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _is_connected(events: list[SiteEvent]) -> bool:
    told = [event.kind for event in events if event.kind in ("connected", "disconnected", "started")]
    return bool(told) and told[-1] == "connected"


def _unreached(events: list[SiteEvent]) -> Unreached | None:
    """Return why the site is not connected, as it was found out last."""
    for event in reversed(events):
        if event.kind in ("connected", "started"):
            return None
        if event.kind == "not_connected":
            return next((one for one in WORDS if one == event.reason), None)
    return None


def _clock_ahead(events: list[SiteEvent]) -> float | None:
    """Return how far the clock here is ahead, as it was seen last."""
    for event in reversed(events):
        if event.kind in ("clock_agrees", "started"):
            return None
        if event.kind == "clock_differs":
            return event.seconds
    return None


def _certificate_end(bundle: JoinBundle, events: list[SiteEvent]) -> datetime:
    """Return when the authority's certificate ends, or the one that the front door showed last, if that is earlier."""
    kinds = ("certificate_ends", "certificate_renewed")
    told = [datetime.fromisoformat(event.until) for event in events if event.kind in kinds and event.until]
    return min([certificate_end(bundle), *told[-1:]])


def _trains(events: list[SiteEvent]) -> str | None:
    for event in reversed(events):
        if event.kind in _ENDS_ROUND:
            return None
        if event.kind == "round_started":
            return f"round {event.round} of {event.run} since {event.time[:19].replace('T', ' ')}"
    return None


def _until(end: datetime | None) -> str:
    if end is None:
        return "-"
    return f"{end:%Y-%m-%d}" + ("; tell the coordinator, who renews it" if ends_soon(end) else "")


def _clock(found: SiteStatus) -> str:
    if found.clock_ahead_s is not None:
        return f"{skew_in_words(found.clock_ahead_s)}: set it, here or there"
    return "agrees with the coordinator's" if found.connected else "-"


def _process(found: SiteStatus) -> str:
    if not found.running:
        return "does not run; start it with: fedpsma site run"
    paused = "" if found.paused is None else ", paused"
    why = "" if found.unreached is None else f": {WORDS[found.unreached]}"
    return ("connected" if found.connected else f"runs, not connected{why}") + paused


def _paid(found: SiteStatus) -> str:
    spent = "not known, or a round had no privacy" if found.epsilon is None else f"epsilon {found.epsilon:.2f}"
    return spent if found.budget is None else f"{spent} of {found.budget:g}"


def _told(event: SiteEvent) -> str:
    why = None if event.reason is None else plain(event.reason) if event.kind == "refused" else event.reason
    told = {"run": event.run, "round": event.round, "reason": why, "epsilon": event.epsilon}
    if event.kind == "clock_differs" and event.seconds is not None:
        told["clock here"] = skew_in_words(event.seconds)
    if event.until is not None:
        told["until"] = event.until[:10]
    if event.sha256 is not None:
        told["code"] = short(event.sha256)
    details = ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)
    return event.kind.replace("_", " ") + (f": {details}" if details else "")
