"""The event log: appended, never changed, readable while it grows and after a crash."""

from __future__ import annotations

from pathlib import Path

from fedpsma.history.events import Event, EventLog, followed


def test_events_come_back_in_order_and_from_where_the_reader_was(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("run_started", round=0, rounds=2)
    first, offset = log.read()
    log.append("site_reported", round=1, site="A", epsilon=1.5, seconds=0.1, bytes=10)
    second, _ = log.read(offset)
    assert [event.kind for event in first] == ["run_started"]
    assert [(event.site, event.epsilon) for event in second] == [("A", 1.5)]
    assert all(event.schema_version == 2 for event in first + second)


def test_a_line_cut_off_by_a_crash_harms_no_other(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("run_started")
    with open(log.path, "ab") as stream:
        stream.write(b'{"kind": "round_st')
    assert [event.kind for event in log.read()[0]] == ["run_started"]
    log.append("run_resumed")
    assert [event.kind for event in log.read()[0]] == ["run_started", "run_resumed"]


def test_a_follower_sees_every_event_of_its_block_and_none_before(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("run_started")
    seen: list[Event] = []
    with followed(log, seen.append):
        for number in range(20):
            log.append("round_started", round=number)
    assert [event.round for event in seen] == list(range(20))
