"""The memory that the policy names: a round that needs more is refused, and the process goes on."""

from __future__ import annotations

import multiprocessing
import resource
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from fake_coordinator import GENEROUS, Coordinator, joined_site, refusal_of, set_policy

from client.policy import read_policy
from client.steward.home import SiteHome
from client.steward.run import checked_policy
from client.steward.steward import Steward
from fedpsma.contract import REPORT
from fedpsma.errors import InputError

GIGABYTE = 2**30


def _answer_two_orders(home: SiteHome, coordinator: Coordinator, told: Connection) -> None:
    checked_policy(home.folder)
    told.send(resource.getrlimit(resource.RLIMIT_DATA)[0])
    steward = Steward(home)
    told.send(refusal_of(steward.answer(coordinator.order("north", 1))))
    set_policy(home, GENEROUS + "memory_gb = 6\n")
    told.send(set(steward.answer(coordinator.order("north", 2)).records))


def test_a_round_that_needs_more_memory_is_refused_and_the_next_one_runs(tmp_path: Path) -> None:
    coordinator = Coordinator()
    home = joined_site(tmp_path, coordinator)
    set_policy(home, GENEROUS.replace("tiny_trainer", "hungry_trainer") + "memory_gb = 6\n")
    ours, theirs = multiprocessing.Pipe()
    # A process of its own, because a limit of a process cannot be taken back.
    process = multiprocessing.get_context("fork").Process(target=_answer_two_orders, args=(home, coordinator, theirs))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert ours.recv() == 6 * GIGABYTE
    assert ours.recv() == "internal_error"
    assert ours.recv() == {REPORT}
    assert "MemoryError" in (home.folder / "errors.log").read_text("utf-8"), "the site's own log says why"


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", '"much"'])
def test_a_limit_that_is_none_stops_the_site_before_it_runs(value: str, tmp_path: Path) -> None:
    home = joined_site(tmp_path, Coordinator())
    set_policy(home, GENEROUS + f"memory_gb = {value}\n")
    with pytest.raises(InputError, match="memory_gb"):
        checked_policy(home.folder)
    with pytest.raises(ValueError, match="memory_gb"):
        read_policy(home.folder)
