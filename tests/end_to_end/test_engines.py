"""The same two apps under three engines: in this process, on Ray, and as an app bundle under ``flwr run``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tiny_trainer import tiny_config

from server.run_folder import RunFolder
from server.simulation import simulate

ROOT = Path(__file__).resolve().parents[2]
HELPERS = ROOT / "tests/helpers"
LEAVE_S = 30.0


@pytest.fixture
def nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The processes of an engine find the tiny trainer, and are gone after the test; what is left is killed."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{HELPERS}")
    monkeypatch.setenv("FEDPSMA_TEST_RUN", str(tmp_path))
    yield
    left = _left_after_waiting(tmp_path)
    names = [process.name() for process in left]
    for process in left:
        process.kill()
    assert not names, f"still running: {names}"


def _left_after_waiting(mark: Path) -> list[psutil.Process]:
    """What still runs when the time to leave is over.

    One look decides: Flower's telemetry, though switched off, describes the platform in a thread of this process by
    a short-lived ``file`` command, which a second look might meet.
    """
    deadline = time.monotonic() + LEAVE_S
    while (left := _left_over(mark)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def _left_over(mark: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("FEDPSMA_TEST_RUN") == str(mark):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("nothing_stays")
def test_an_app_bundle_gives_the_weights_of_the_in_process_engine_bit_for_bit(tmp_path: Path) -> None:
    """Ray alone does so with the real trainer, in :mod:`test_federated_training`."""
    pytest.importorskip("ray")
    here = simulate(tiny_config(tmp_path / "here"))
    there = simulate(tiny_config(tmp_path / "over there", engine="flwr"))
    assert there.model_sha256 == here.model_sha256
    assert there.model.read_bytes() == here.model.read_bytes()
    assert {site.site: site.epsilon for site in there.sites} == {site.site: site.epsilon for site in here.sites}
    events = RunFolder(there.folder).events.read()[0]
    assert [event.round for event in events if event.kind == "round_ended"] == [1, 2]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("nothing_stays")
@pytest.mark.parametrize("engine", ["ray", "flwr"])
def test_a_run_that_fails_ends_and_leaves_no_process(tmp_path: Path, engine: str) -> None:
    pytest.importorskip("ray")
    config = tiny_config(tmp_path, engine=engine)
    for path in config.datasets:
        (path / "fault.txt").write_text("not_finite", "utf-8")
    with pytest.raises(Exception, match=r"not_finite|finished:failed"):
        simulate(config)
    assert RunFolder(config.out).events.read()[0][-1].reason == "too_few_sites"
