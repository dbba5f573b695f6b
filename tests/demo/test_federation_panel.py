from __future__ import annotations

import re
from pathlib import Path

import pytest

from demo.federation import find_runs, read_run
from demo.panels.federation import federation
from fedpsma.contract import Federation, FederationSite, TrainingPlan
from fedpsma.io.files import held_alone, write_json
from fedpsma.model.checkpoint import load_checkpoint
from server.run_folder import RoundState, RunFolder, RunRules, SiteState


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run of two sites in its third round of four: the first has reported, the other has not."""
    folder = RunFolder(tmp_path / "runs" / "first")
    initial = load_checkpoint(None)
    sites = (FederationSite(name="north"), FederationSite(name="south"))
    folder.prepare(
        TrainingPlan(rounds=4, target_epsilon=4.0), Federation(run="first", sites=sites), initial, RunRules()
    )
    log = folder.events
    log.append("run_started", round=0, rounds=4, model_sha256=initial.card.sha256)
    for number, (north, south) in enumerate([(1.0, 1.5), (1.8, 2.9)], start=1):
        log.append("round_started", round=number, rounds=4, sites=("north", "south"))
        log.append("site_reported", round=number, site="north", epsilon=north)
        log.append("site_reported", round=number, site="south", epsilon=south)
        log.append("round_ended", round=number, seconds=60.0, model_sha256=initial.card.sha256)
    log.append("round_started", round=3, rounds=4, sites=("north", "south"))
    log.append("site_reported", round=3, site="north", epsilon=2.5)
    told = {name: SiteState(rounds=2) for name in ("north", "south")}
    state = RoundState(run="first", round=2, model_sha256=initial.card.sha256, sites=told)
    write_json(folder.path / "checkpoints" / "round_02.json", state.model_dump(mode="json"))
    return folder


def test_rounds_sites_and_what_patients_paid_against_the_budget(run: RunFolder) -> None:
    (found,) = find_runs(run.path.parent)
    with held_alone(run.path):
        seen = read_run(found)
    assert seen.summary is not None
    shown = federation([seen])
    assert "Round 2 of 4" in shown
    assert "running" in shown
    assert re.search(r">(?:training|late)\b", shown)
    assert ">reported<" in shown
    assert "2.50 of 4 spent" in shown
    # The last round cost the south 1.4, so two more come to 5.7, over the budget of 4.
    assert "2.90 of 4 spent, 5.70 at the end" in shown
    assert shown.count("fp-over") == 1
    assert "11 events, each chained" in shown


def test_a_log_that_was_changed_is_told_in_one_line(run: RunFolder) -> None:
    log = run.path / "events.jsonl"
    log.write_text(log.read_text("utf-8").replace('"epsilon": 1.8', '"epsilon": 0.8'), "utf-8")
    shown = federation([read_run(run.path)])
    assert "does not follow the line before it" in shown


def test_names_from_a_log_are_text_and_no_run_is_said(tmp_path: Path) -> None:
    assert "fedpsma demo --runs" in federation([])
    assert find_runs(tmp_path) == ()
    assert "<b>" not in federation([read_run(tmp_path / "<b>run</b>")])
