"""A real federation on a bad day: the network gone for minutes, a full disk at either end, a copied node key."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from counting_trainer import begun
from network import Namespaces, network_of
from real_federation import RealFederation
from tiny_trainer import make_checkpoint, make_sites
from waiting_trainer import SECONDS

from client.ledger import Ledger
from fedpsma.io.chain import verify_chain
from fedpsma.model.checkpoint import load_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NAMES = ("north", "south", "west")
POLICY = 'trainer = "counting_trainer"\n'
CUT_S = 65.0
SMALL_DISK = "8m"


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealFederation]:
    """Three sites that take part, with a small disk of its own for the runs and for the west where that can be had."""
    place = tmp_path_factory.mktemp("f")
    with network_of((*NAMES, "thief")) as network, closing(RealFederation(place, network)) as real:
        real.init()
        with _small_disk(real.home / "runs"), _small_disk(real.state("west")):
            make_checkpoint(place / "initial.safetensors")
            for name, dataset in zip(NAMES, make_sites(place, NAMES), strict=True):
                real.admit(name, real.make_site(name, dataset, POLICY))
                real.join(name)
            real.up()
            for name in NAMES:
                real.take_part(name, **{SECONDS: "4"})
            yield real
            real.close()


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """Mount a small disk at a folder, if we may."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _start(federation: RealFederation, run: str, rounds: int) -> None:
    settings = ("--set", "init=initial.safetensors", "--set", f"rounds={rounds}", "--set", "delta=0.05")
    federation.call("federation", "run", run, *settings)


def _require_sound(federation: RealFederation, run: str) -> None:
    """Require a finished run with finite weights, whole histories, and ledgers not below what was spent."""
    assert federation.standing(run) == "finished", federation.all_logs()
    folder = federation.home / "runs" / run
    weights = load_checkpoint(folder / "model" / "model.safetensors").weights
    assert all(np.isfinite(array).all() for array in weights.values())
    verify_chain(folder / "events.jsonl")
    for name in NAMES:
        data = federation.folder / f"data_{name}"
        assert len(Ledger(data / "ledger.jsonl").charged()) >= begun(data)
        verify_chain(federation.state(name) / "events.jsonl")


def test_the_network_of_a_site_is_gone_for_more_than_a_minute(federation: RealFederation) -> None:
    network = federation.network
    if not isinstance(network, Namespaces):
        pytest.skip(f"no cable to pull: {network.why}")
    _start(federation, "cut", 3)
    federation.wait_for(lambda: federation.site_is_at("south", 1), "round 1 in the south")
    network.cut("south")
    try:
        time.sleep(CUT_S)
    finally:
        network.mend("south")
    federation.wait_for_event("cut", "run_ended")
    _require_sound(federation, "cut")
    federation.wait_for(lambda: federation.is_connected("south"), "the south, by itself")


def _full(folder: Path) -> Path:
    """Fill a disk up and return the file to delete."""
    if not os.path.ismount(folder):
        pytest.skip("no small disk: it needs root and the right to mount")
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as stream:
        try:
            while stream.write(bytes(1 << 12)):
                pass
        except OSError:
            return filler
    raise AssertionError


def test_a_full_disk_at_a_site_is_told_and_the_others_train_on(federation: RealFederation) -> None:
    filler = _full(federation.state("west"))
    try:
        _start(federation, "site_full", 1)
        federation.wait_for_event("site_full", "run_ended")
    finally:
        filler.unlink()
    told = {(one.get("site"), one.get("reason")) for one in federation.events("site_full")}
    assert ("west", "disk_full") in told, federation.all_logs()
    _require_sound(federation, "site_full")


def test_a_full_disk_at_the_coordinator_ends_the_run_and_it_goes_on_when_there_is_room(
    federation: RealFederation,
) -> None:
    _start(federation, "full", 2)
    federation.wait_for_event("full", "round_started", 1)
    filler = _full(federation.home / "runs")
    try:
        federation.wait_for(lambda: federation.standing("full") in ("failed", "cut off"), "the end")
    finally:
        filler.unlink()
    federation.call("federation", "run", "full")
    federation.wait_for_event("full", "run_ended")
    _require_sound(federation, "full")


def test_a_copied_node_key_gets_nothing_counted(federation: RealFederation) -> None:
    """A thief with the key of the south's connection, but not with the one that signs, plays the south."""
    (dataset,) = make_sites(federation.folder / "thief", ["south"])
    federation.make_site("thief", dataset, POLICY)
    shutil.copyfile(federation.state("south") / "node.key", federation.state("thief") / "node.key")
    federation.join("thief")
    federation.take_part("thief")
    try:
        federation.wait_for(lambda: _tried(federation), "the thief's try")
        _start(federation, "stolen", 2)
        federation.wait_for_event("stolen", "run_ended")
    finally:
        federation.kill("thief")
        federation.processes.pop("thief", None)
    reports = [one for one in federation.events("stolen") if one["kind"] == "site_reported" and one["site"] == "south"]
    own = (federation.state("south") / "events.jsonl").read_text("utf-8")
    released = [line for line in own.split("\n") if '"round_released"' in line]
    assert len(reports) <= len(released), "what counts as the south's was released by the south"
    weights = load_checkpoint(federation.home / "runs" / "stolen" / "model" / "model.safetensors").weights
    assert all(np.isfinite(array).all() for array in weights.values())


def _tried(federation: RealFederation) -> bool:
    log = federation.state("thief") / "flower" / "supernode.log"
    return log.exists() and ("SuperNode ID" in log.read_text("utf-8") or "ERROR" in log.read_text("utf-8"))


def test_a_second_coordinator_in_the_same_folder_is_refused(federation: RealFederation) -> None:
    assert "in use by another process" in federation.call("federation", "up", code=2)
