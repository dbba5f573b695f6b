"""The power is cut twenty times at random moments: no spending is forgotten, and the site goes on."""

from __future__ import annotations

import multiprocessing
import random
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from fake_coordinator import Coordinator, joined_site, refusal_of, set_policy

from client.ledger import Ledger
from client.steward.home import SiteHome
from client.steward.listener import Listener
from client.steward.steward import Steward
from client.wire import WireError, ask
from fedpsma.io.chain import verify_chain

KILLS = 20
POLICY = 'epsilon_budget = inf\ntrainer = "tiny_trainer"\n'


def _serve(home: SiteHome) -> None:
    Listener(home.socket_path, Steward(home).answer)
    threading.Event().wait()


@pytest.mark.timeout(300)
def test_whatever_was_released_before_a_kill_is_in_the_ledger(tmp_path: Path) -> None:
    coordinator, rng = Coordinator(), random.Random(3)
    home = joined_site(tmp_path, coordinator)
    set_policy(home, POLICY)
    ledger = Ledger(next(tmp_path.glob("data_*")) / "ledger.jsonl", home.folder / "ledger.anchor")
    released = number = 0
    for _ in range(KILLS):
        home.socket_path.unlink(missing_ok=True)
        process = multiprocessing.get_context("fork").Process(target=_serve, args=(home,), daemon=True)
        process.start()
        _await(home.socket_path)
        last = number + rng.randint(1, 3)
        killer = threading.Timer(rng.uniform(0, 0.2), process.kill)
        try:
            while True:
                number += 1
                if number == last:
                    killer.start()
                released += bool(ask(home.socket_path, coordinator.order("north", number)).arrays)
        except (OSError, WireError):
            process.join()
        killer.join()
        assert process.exitcode == -signal.SIGKILL
        assert len(ledger.charged()) >= released, "what left was charged before"
    assert released > KILLS / 2
    number += 1
    steward = Steward(home)
    again = coordinator.order("north", number)
    assert steward.answer(again).arrays, "the site goes on"
    assert refusal_of(steward.answer(again)) == "order_repeated"
    assert verify_chain(home.events_path).lines > released
    assert len(ledger.entries()) >= 2 * released


def _await(path: Path) -> None:
    """Wait until somebody listens; the socket is there a moment earlier."""
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return
        time.sleep(0.005)
