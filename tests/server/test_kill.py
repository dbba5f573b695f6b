"""Killed without warning in the middle of a round, a run goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_trainer import tiny_config

from client.ledger import Ledger
from server.run_folder import RunFolder
from server.simulation import SimulationConfig, simulate

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
CODE = (
    "import sys\nfrom server.simulation import SimulationConfig, simulate\n"
    "simulate(SimulationConfig.model_validate_json(sys.argv[1]))"
)


def _run(config: SimulationConfig) -> int:
    environment = {**os.environ, "PYTHONPATH": str(HELPERS)}
    arguments = [sys.executable, "-c", CODE, config.model_dump_json()]
    return subprocess.run(arguments, env=environment, timeout=120, check=False).returncode


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_after_a_kill_in_mid_round_the_weights_are_the_same_and_the_ledger_over_counts(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "a", rounds=3)
    (tmp_path / "a" / "data_B" / "fault.txt").write_text("killed", "utf-8")
    assert _run(config) == -signal.SIGKILL
    folder = RunFolder(config.out)
    assert folder.last_state().round == 1
    charged = Ledger(config.out / "sites" / "B" / "ledger.jsonl")
    assert len(charged.history()) == 2, "the round that was cut off was charged before it trained"
    assert charged.entries()[-1].kind == "charged"

    result = simulate(config)
    assert result.model_sha256 == simulate(tiny_config(tmp_path / "b", rounds=3)).model_sha256
    started = [event.round for event in folder.events.read()[0] if event.kind == "round_started"]
    assert started == [1, 2, 2, 3]
    assert len(charged.history()) == 4
