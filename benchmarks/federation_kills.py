"""The power is cut at random moments of a real federation: what becomes of its runs, its weights and its ledgers.

Three sites with a trainer that waits; each kill is one of four, drawn at random: the SuperLink with the run's process,
the whole coordinator, one site with all its processes, or the steward's SuperNode alone. What a service manager would
start again is started again. Every run has to complete, its weights have to be finite, and every ledger has to hold at
least as many charges as trainings began. Run it with ``python benchmarks/federation_kills.py``; it takes about half a
minute a kill on two busy cores.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/helpers"))

from counting_trainer import begun  # noqa: E402
from real_federation import RealFederation  # noqa: E402
from tiny_trainer import make_checkpoint, make_sites  # noqa: E402
from waiting_trainer import SECONDS  # noqa: E402

from client.ledger import Ledger  # noqa: E402
from fedpsma.history.rounds import rounds_of  # noqa: E402
from fedpsma.history.summary import events_of  # noqa: E402
from fedpsma.io.chain import verify_chain  # noqa: E402
from fedpsma.model.checkpoint import load_checkpoint  # noqa: E402
from server.federation.superlink import processes_of  # noqa: E402

NAMES = ("north", "south", "west")
KINDS = ("SuperLink", "coordinator", "site", "SuperNode")
POLICY = 'trainer = "counting_trainer"\n'
ROUNDS, WORK_S, LONGEST_PAUSE_S = 6, 3.0, 25.0


def main() -> None:
    """Kill, start again, and say what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    os.environ[SECONDS] = str(WORK_S)
    with tempfile.TemporaryDirectory() as folder:
        real = RealFederation(Path(folder))
        try:
            _set_up(real)
            _play(real, random.Random(wanted.seed), wanted.kills)
        finally:
            real.close()


def _set_up(real: RealFederation) -> None:
    real.init()
    make_checkpoint(real.folder / "initial.safetensors")
    for name, dataset in zip(NAMES, make_sites(real.folder, NAMES), strict=True):
        real.admit(name, real.make_site(name, dataset, POLICY))
        real.join(name)
    real.up()
    for name in NAMES:
        real.take_part(name)


def _play(real: RealFederation, rng: random.Random, kills: int) -> None:
    console, told, helped, runs = Console(highlight=False), Counter[str](), 0, 0
    while sum(told.values()) < kills:
        runs += 1
        run = f"run{runs}"
        _start(real, run)
        while real.standing(run) != "finished":
            if real.standing(run) in ("failed", "stopped"):
                helped += 1
                _start(real, run)
            elif sum(told.values()) < kills:
                time.sleep(rng.uniform(0, LONGEST_PAUSE_S))
                kind = rng.choice(KINDS)
                _kill(real, kind, rng.choice(NAMES))
                told[kind] += 1
                console.print(f"{sum(told.values())}: killed the {kind} in {run}")
            time.sleep(1)
        _judge(real, run)
        console.print(f"{run} is finished: {ROUNDS} rounds, weights finite, ledgers not below what was spent")
    console.print(f"{runs} runs, {kills} kills ({dict(told)}), {helped} runs started again by hand")
    for name in NAMES:
        charged = len(_ledger(real, name).charged())
        trained = begun(real.folder / f"data_{name}")
        again = (real.state(name) / "events.jsonl").read_text("utf-8").count('"released_again"')
        console.print(f"{name}: {charged} charges, {trained} trainings begun, {again} reports sent again for free")


def _start(real: RealFederation, run: str) -> None:
    """Start a run, or go on with it, as soon as the SuperLink is there."""
    settings = ("--set", "init=initial.safetensors", "--set", f"rounds={ROUNDS}", "--set", "delta=0.05")
    prepared = (real.home / "runs" / run / "plan.json").exists()
    real.wait_for(lambda: (real.home / "superlink" / "up.json").exists(), "the SuperLink")
    real.call("federation", "run", run, *(() if prepared else settings))


def _kill(real: RealFederation, kind: str, name: str) -> None:
    if kind == "SuperLink":
        real.kill_superlink()
    elif kind == "coordinator":
        real.kill_coordinator()
        real.start("up", "federation", "up")
    elif kind == "site":
        real.kill(name)
        real.take_part(name)
    else:
        for number in processes_of((real.state(name) / "flower").absolute()):
            os.kill(number, signal.SIGKILL)


def _judge(real: RealFederation, run: str) -> None:
    folder = real.home / "runs" / run
    weights = load_checkpoint(folder / "model" / "model.safetensors").weights
    assert all(np.isfinite(array).all() for array in weights.values())
    verify_chain(folder / "events.jsonl")
    finished = rounds_of(events_of(folder))
    assert [one.number for one in finished] == list(range(1, ROUNDS + 1))
    for name in NAMES:
        charged = len(_ledger(real, name).charged())
        assert charged >= begun(real.folder / f"data_{name}"), name
        verify_chain(real.state(name) / "events.jsonl")


def _ledger(real: RealFederation, name: str) -> Ledger:
    return Ledger(real.folder / f"data_{name}" / "ledger.jsonl", real.state(name) / "ledger.anchor")


if __name__ == "__main__":
    main()
