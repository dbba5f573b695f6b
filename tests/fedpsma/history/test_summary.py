"""How a run stands, read from a folder that a process left at any moment."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event as Drawn

from fedpsma.contract import Federation, FederationSite, TrainingPlan
from fedpsma.errors import InputError
from fedpsma.history.events import EventLog
from fedpsma.history.rounds import attempts_of, rounds_of
from fedpsma.history.summary import RunSummary, events_of, summary_of
from fedpsma.history.tensorboard import write_tensorboard
from fedpsma.io.files import held_alone, write_json

NAMES = ("north", "south", "west")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "first"
    sites = tuple(
        FederationSite(name=name, patients=patients) for name, patients in zip(NAMES, (40, 4, None), strict=True)
    )
    write_json(place / "plan.json", TrainingPlan(rounds=3, delta=0.001).model_dump(mode="json"))
    write_json(place / "federation.json", Federation(run="r", sites=sites).model_dump(mode="json"))
    return place


def _begin(log: EventLog, number: int, epsilon: float = 0.0, reporting: int = 2) -> None:
    log.append("round_started", round=number, rounds=3, sites=NAMES, bytes=300)
    for name in NAMES[:reporting]:
        log.append("site_reported", round=number, site=name, epsilon=epsilon or 2.0 * number, bytes=100)


def _play(log: EventLog, number: int) -> None:
    _begin(log, number)
    log.append("site_refused", round=number, site="west", reason="outside_hours")
    log.append("round_ended", round=number, seconds=10.0, model_sha256=f"m{number}")


def test_a_run_that_was_not_begun_is_prepared(folder: Path) -> None:
    found = summary_of(folder)
    assert (found.run, found.standing, found.round, found.rounds) == ("first", "prepared", 0, 3)
    assert [site.doing for site in found.sites] == ["not asked yet"] * 3
    assert found.epsilon_budget == 8.0
    assert found.seconds_left is None


def test_rounds_money_reasons_and_time_left(folder: Path) -> None:
    log = EventLog(folder / "events.jsonl")
    log.append("run_started", round=0, rounds=3)
    _play(log, 1)
    with held_alone(folder):
        found = summary_of(folder)
    assert (found.standing, found.round, found.seconds_left, found.model_sha256) == ("running", 1, 20.0, "m1")
    north, south, west = found.sites
    assert (north.doing, north.rounds, north.missed, north.patients) == ("reported", 1, 0, 40)
    assert (north.epsilon, north.epsilon_at_end) == (2.0, 6.0)
    assert (south.patients, west.patients) == (None, None), "fewer than five are not told"
    assert (west.doing, west.rounds, west.missed, west.epsilon) == ("refused", 0, 1, None)
    assert "other hours" in str(west.why)
    assert RunSummary.model_validate_json(found.model_dump_json()) == found
    assert summary_of(folder).standing == "cut off"


def test_a_round_that_was_cut_off_and_played_again_counts_once(folder: Path) -> None:
    log = EventLog(folder / "events.jsonl")
    _play(log, 1)
    _begin(log, 2)
    log.append("run_resumed", round=1, rounds=3)
    assert summary_of(folder).round == 1
    _play(log, 2)
    found = summary_of(folder)
    assert (found.round, found.sites[0].rounds, found.sites[0].missed) == (2, 2, 0)
    assert found.sites[0].epsilon_at_end == 6.0
    events = events_of(folder)
    assert [one.number for one in attempts_of(events)] == [1, 2, 2]
    assert [(one.number, one.finished) for one in rounds_of(events)] == [(1, True), (2, True)]


def test_a_round_whose_model_was_written_but_not_its_line_is_finished(folder: Path) -> None:
    log = EventLog(folder / "events.jsonl")
    _play(log, 1)
    _begin(log, 2)
    log.append("run_resumed", round=2, rounds=3)
    assert summary_of(folder).round == 2


def test_what_was_set_aside_after_its_report_does_not_count(folder: Path) -> None:
    log = EventLog(folder / "events.jsonl")
    _begin(log, 1, reporting=3)
    log.append("site_quarantined", round=1, site="south", reason="too_long")
    log.append("round_ended", round=1, seconds=1.0)
    (played,) = rounds_of(events_of(folder))
    assert (set(played.epsilon), played.missing) == ({"north", "west"}, {"south": "too_long"})
    assert [(site.rounds, site.missed) for site in summary_of(folder).sites] == [(1, 0), (0, 1), (1, 0)]
    assert summary_of(folder).sites[1].epsilon == 2.0, "its patients paid all the same"


def test_a_site_that_keeps_the_others_waiting_is_late(folder: Path) -> None:
    log = EventLog(folder / "events.jsonl")
    _begin(log, 1)
    started = attempts_of(events_of(folder))[0].started
    soon = summary_of(folder, now=started)
    assert [site.doing for site in soon.sites] == ["reported", "reported", "training"]
    later = summary_of(folder, now=datetime.now(UTC) + timedelta(minutes=10))
    assert [site.doing for site in later.sites] == ["reported", "reported", "late"]
    assert "the others took" in str(later.sites[2].why)


def test_why_a_run_failed(folder: Path) -> None:
    log = EventLog(folder / "events.jsonl")
    _begin(log, 1, reporting=1)
    log.append("run_failed", round=0, reason="too_few_sites")
    found = summary_of(folder)
    assert (found.standing, found.round) == ("failed", 0)
    assert "fewer sites than a round needs" in str(found.why)


def test_no_run_and_a_spoilt_history_are_said_in_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        summary_of(tmp_path)
    (folder / "events.jsonl").write_text(json.dumps({"kind": "party"}) + "\n", "utf-8")
    with pytest.raises(InputError, match="no event"):
        summary_of(folder)


def test_tensorboard_shows_each_finished_round(folder: Path, tmp_path: Path) -> None:
    log = EventLog(folder / "events.jsonl")
    _play(log, 1)
    _play(log, 2)
    _begin(log, 3)
    assert write_tensorboard(folder, tmp_path / "board") == 2
    drawn = _drawn(tmp_path / "board")
    assert drawn["epsilon/north"] == {1: 2.0, 2: 4.0}
    assert drawn["epsilon/promised"] == {1: 8.0, 2: 8.0}
    assert drawn["sites/counted"] == {1: 2.0, 2: 2.0}
    assert drawn["sites/missing"] == {1: 1.0, 2: 1.0}
    assert drawn["round/bytes_received"] == {1: 200.0, 2: 200.0}
    assert "epsilon/west" not in drawn
    _play(log, 3)
    assert write_tensorboard(folder, tmp_path / "board") == 3, "again, over the earlier one"


def test_a_folder_with_something_else_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to_anna.txt").write_text("Dear Anna", "utf-8")
    with pytest.raises(InputError, match="holds something else"):
        write_tensorboard(folder, tmp_path / "letters")
    assert (tmp_path / "letters" / "to_anna.txt").exists()


def _drawn(folder: Path) -> dict[str, dict[int, float]]:
    """Read the scalars of an events file: records of length, checksum, content, checksum."""
    (path,) = folder.iterdir()
    content, drawn = path.read_bytes(), dict[str, dict[int, float]]()
    while content:
        length = int.from_bytes(content[:8], "little")
        event = Drawn.FromString(content[12 : 12 + length])
        for value in event.summary.value:
            if value.HasField("simple_value"):
                drawn.setdefault(value.tag, {})[event.step] = value.simple_value
        content = content[16 + length :]
    return drawn
