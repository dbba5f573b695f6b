"""Who wants a run to stop puts a file into its folder; the run ends at once, says so, and goes on when asked again."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from tiny_trainer import tiny_config

import server.simulation.run
from fedpsma.errors import InputError
from fedpsma.io.files import held_alone, is_held
from server.engines.inprocess import InProcessGrid, run_in_process
from server.flower import EngineStoppedError, Link, context_of, take_identity
from server.rounds import run_rounds
from server.run_folder import RunFolder
from server.simulation import simulate
from server.stopping import heeded


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A prepared run."""
    with monkeypatch.context() as patch:
        patch.setattr(server.simulation.run, "_engine", lambda name: lambda folder: None)
        simulate(tiny_config(tmp_path))
    take_identity()
    return RunFolder(tmp_path / "run")


class _AbsentMindedGrid(InProcessGrid):
    """Its nodes say who they are and never train."""

    def pull_messages(self, message_ids: Sequence[str]) -> list[Message]:
        waiting = [self._waiting[name] for name in message_ids if name in self._waiting]
        if any(message.metadata.message_type == "train" for message in waiting):
            return []
        return super().pull_messages(message_ids)


def _link() -> Link:
    def app(message: Message, context: object) -> Message:
        name = "ABC"[message.metadata.dst_node_id - 1]
        return Message(RecordDict({"site": ConfigRecord({"name": name})}), reply_to=message)

    return Link(_AbsentMindedGrid(app, {number: context_of(number, {}, {}) for number in (1, 2, 3)}), threading.Event())


def test_a_run_that_waits_for_its_sites_ends_within_seconds_of_the_file(folder: RunFolder) -> None:
    threading.Timer(0.5, lambda: folder.stop_path.write_text("stop", "utf-8")).start()
    started = time.monotonic()
    with pytest.raises(EngineStoppedError):
        run_rounds(_link(), folder.path)
    assert time.monotonic() - started < 5
    last = folder.events.read()[0][-1]
    assert (last.kind, last.reason) == ("run_failed", "stopped")
    folder.stop_path.unlink()
    run_in_process(folder)
    assert folder.events.read()[0][-1].kind == "run_ended"


def test_nothing_looks_for_the_file_after_the_block(tmp_path: Path) -> None:
    interrupted = threading.Event()
    with heeded(tmp_path / "stop", interrupted):
        pass
    (tmp_path / "stop").write_text("stop", "utf-8")
    time.sleep(0.5)
    assert not interrupted.is_set()


def test_two_processes_are_never_at_one_run(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.rounds, "HELD_S", 0.1)
    assert not is_held(folder.path)
    with held_alone(folder.path):
        assert is_held(folder.path)
        with pytest.raises(InputError, match="in use by another process"):
            run_in_process(folder)
    run_in_process(folder)


def test_a_full_disk_ends_the_run_with_its_reason_and_nothing_half_written(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish_round", full)
        with pytest.raises(OSError, match="No space left"):
            run_in_process(folder)
    last = folder.events.read()[0][-1]
    assert (last.kind, last.reason, last.round) == ("run_failed", "disk_full", 0)
    run_in_process(folder)
    assert folder.last_state().round == 2
