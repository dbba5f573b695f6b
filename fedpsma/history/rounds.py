"""What each round of a run brought, put together from its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fedpsma.history.events import Event

_MISSED = ("site_refused", "site_quarantined")


@dataclass(frozen=True)
class RoundRecord:
    """One attempt at a round.

    Args:
        number: Of the round, from 1.
        started: When the sites were asked.
        asked: The sites that were asked.
        epsilon: By the sites that reported and count: what their patients have paid so far, ``None`` without privacy.
        paid: The same of all that reported: what was set aside afterwards was paid all the same.
        answered_s: By the sites that reported and count: seconds from the start of the round to their report.
        missing: By the sites that did not count: the code that says why.
        finished: Whether there is a model of it.
        seconds: How long it took, where that was noted.
        bytes_sent: Weights sent to all sites together.
        bytes_received: Weights that came back.
        model_sha256: The model after it.
    """

    number: int
    started: datetime
    asked: tuple[str, ...]
    epsilon: Mapping[str, float | None]
    paid: Mapping[str, float | None]
    answered_s: Mapping[str, float]
    missing: Mapping[str, str]
    finished: bool
    seconds: float | None
    bytes_sent: int
    bytes_received: int
    model_sha256: str | None


def attempts_of(events: Sequence[Event]) -> list[RoundRecord]:
    """Return every attempt at a round in order; a round that was cut off may have several."""
    return [_attempt(part) for part in _parts(events)]


def rounds_of(events: Sequence[Event]) -> list[RoundRecord]:
    """Return the finished rounds in order.

    Example:
        >>> told = {"time": "2026-01-01T00:00:00+00:00", "round": 1}
        >>> asked = Event(kind="round_started", sites=("north",), **told)
        >>> reported = Event(kind="site_reported", site="north", epsilon=1.5, **told)
        >>> [one.epsilon for one in rounds_of([asked, reported, Event(kind="round_ended", **told)])]
        [{'north': 1.5}]
    """
    return [one for one in attempts_of(events) if one.finished]


def _parts(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Yield the events of each attempt, the one behind it included when that tells how it ended."""
    part: list[Event] = []
    for event in events:
        if event.kind == "round_started":
            if part:
                yield part
            part = [event]
        elif part:
            part.append(event)
            if event.kind in ("round_ended", "run_resumed", "run_failed", "run_ended"):
                yield part
                part = []
    if part:
        yield part


def _attempt(part: Sequence[Event]) -> RoundRecord:
    first, last = part[0], part[-1]
    number, started = first.round or 0, datetime.fromisoformat(first.time)
    missing = {one.site: one.reason or "" for one in part if one.kind in _MISSED and one.site}
    reported = {one.site: one for one in part if one.kind == "site_reported" and one.site}
    # What was set aside after its report does not count.
    counted = {site: one for site, one in reported.items() if site not in missing}
    # The model of a round is on the disk a moment before the line that says so.
    went_on = last.kind in ("run_resumed", "run_failed", "run_ended") and (last.round or 0) >= number
    return RoundRecord(
        number=number,
        started=started,
        asked=first.sites or (),
        epsilon={site: one.epsilon for site, one in counted.items()},
        paid={site: one.epsilon for site, one in reported.items()},
        answered_s={site: _seconds_since(started, one) for site, one in counted.items()},
        missing=missing,
        finished=last.kind == "round_ended" or went_on,
        seconds=last.seconds if last.kind == "round_ended" else None,
        bytes_sent=first.bytes or 0,
        bytes_received=sum(one.bytes or 0 for one in counted.values()),
        model_sha256=last.model_sha256 if last.kind == "round_ended" else None,
    )


def _seconds_since(started: datetime, event: Event) -> float:
    return (datetime.fromisoformat(event.time) - started).total_seconds()
