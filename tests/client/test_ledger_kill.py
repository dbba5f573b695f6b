"""Killed at any line of the code that charges, trains and closes, a site never says less than it spent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import tiny_trainer
from tiny_trainer import make_sites

from client.fingerprint import code_hash
from client.ledger import Ledger
from client.site import Site, answer_order
from fedpsma.contract import RoundOrder, SiteRefusal, TrainingPlan
from fedpsma.model.checkpoint import Weights
from fedpsma.training.trainer import TrainingTask

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
WATCHED = ("client/ledger.py", "client/payment.py", "client/site.py", "tiny_trainer.py")
ROUND_COST = 2.0
WEIGHTS = {name: np.ones(3, np.float32) for name in ("layer", "bias")}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a site whose trainer notes on the disk that a gradient was computed, before anything else."""
    (dataset,) = make_sites(tmp_path, ["A"])
    made = Site("A", dataset, tmp_path / "state")
    made.state.mkdir()
    policy = 'epsilon_budget = inf\nallow_fixed_seed = true\ntrainer = "tiny_trainer"\n'
    (made.state / "site.toml").write_text(policy, "utf-8")
    honest = tiny_trainer.train

    def train(task: TrainingTask) -> Weights:
        with open(tmp_path / "gradients", "ab") as marks:
            marks.write(b"x")
        return honest(task)

    monkeypatch.setattr(tiny_trainer, "train", train)
    code_hash("tiny_trainer")  # kept for the children, which would each read all files again
    return made


def _gradients(site: Site) -> int:
    marks = site.state.parent / "gradients"
    return len(marks.read_bytes()) if marks.exists() else 0


def _order(number: int, run: str = "r") -> RoundOrder:
    return RoundOrder(run=run, round=number, plan=TrainingPlan(seed=1))


def _killer(at: int) -> Callable[[FrameType, str, object], object]:
    """Return a trace function that kills this process at the so-many-th line of the watched files."""
    passed = 0

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal passed
        if not frame.f_code.co_filename.replace(os.sep, "/").endswith(WATCHED):
            return None
        if event == "line":
            passed += 1
            if passed == at:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def _killed_at(site: Site, line: int) -> bool:
    """Train a round in a child process that is killed at a line; return whether it came that far."""
    child = os.fork()
    if child == 0:
        sys.settrace(_killer(line))  # type: ignore[arg-type]
        answer_order(site, _order(line), WEIGHTS)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _ledger(site: Site) -> Ledger:
    return Ledger(site.dataset / "ledger.jsonl", site.state / "ledger.anchor")


def _forget(site: Site) -> None:
    for path in (_ledger(site).path, site.state / "ledger.anchor", site.state.parent / "gradients"):
        path.unlink(missing_ok=True)


@pytest.mark.slow
def test_killed_at_every_line_the_ledger_never_says_less_than_was_spent(site: Site) -> None:
    seen = set()
    line = 1
    while _killed_at(site, line):
        charged = len(_ledger(site).charged())
        assert charged >= _gradients(site), f"killed at line {line}"
        seen.add((charged, _gradients(site)))
        _forget(site)
        line += 1
    assert line > 100, "the kills have to cover charging, training and closing"
    assert seen == {(0, 0), (1, 0), (1, 1)}


def test_after_many_kills_the_loss_is_that_of_all_that_was_charged(site: Site) -> None:
    kills = [_killed_at(site, line) for line in range(50, 700, 50)]
    charged = len(_ledger(site).charged())
    assert sum(kills) >= 3
    assert 1 <= _gradients(site) <= charged
    report, _ = answer_order(site, _order(1, "after"), WEIGHTS)
    assert report.epsilon == pytest.approx((charged + 1) * ROUND_COST, abs=1e-9)


def test_a_ledger_whose_end_was_lost_stops_the_site(site: Site) -> None:
    for number in (1, 2):
        assert not isinstance(answer_order(site, _order(number), WEIGHTS), SiteRefusal)
    path = site.dataset / "ledger.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for kept in (lines[:-2], lines[:-1], []):
        path.write_bytes(b"".join(kept))
        answer = answer_order(site, _order(3), WEIGHTS)
        assert isinstance(answer, SiteRefusal)
        assert answer.reason == "ledger_unreadable"
    path.unlink()
    answer = answer_order(site, _order(3), WEIGHTS)
    assert isinstance(answer, SiteRefusal)
    path.write_bytes(whole)
    assert not isinstance(answer_order(site, _order(3), WEIGHTS), SiteRefusal)


def test_an_anchor_that_is_behind_or_absent_is_no_loss(site: Site) -> None:
    anchor = site.state / "ledger.anchor"
    answer_order(site, _order(1), WEIGHTS)
    old = anchor.read_bytes()
    answer_order(site, _order(2), WEIGHTS)
    anchor.write_bytes(old)
    assert not isinstance(answer_order(site, _order(3), WEIGHTS), SiteRefusal)
    anchor.unlink()
    report, _ = answer_order(site, _order(4), WEIGHTS)
    assert report.epsilon == pytest.approx(4 * ROUND_COST)
