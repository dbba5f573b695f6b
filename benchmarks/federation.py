"""What a real federation costs beside the training: time, bytes, memory; against the bare loop and stock Flower.

Coordinator and sites are real processes on the loopback address, set up by the commands that people use. Except
against stock Flower, a trainer that waits stands for the training, so that sites do not fight for the processor. Run
it with ``python benchmarks/federation.py``, or a part of it with ``--only``:

* ``start``: from ``federation init`` to the end of round 1 with three sites, without the training; and what Flower's
  process of a message takes at a site (processor time and peak memory, as the kernel counts them).
* ``round``: a round of 60 s of work against those 60 s.
* ``bytes``: bytes on the wire of a round against the weights, and the memory at the coordinator.
* ``stock``: two rounds of a small network with stewards, and with nothing but Flower, where every message starts a
  process that loads the model code.
* ``idle``: thirty nodes that wait, and the memory of the coordinator.

Each part takes one to five minutes on two cores and prints its rows, with the load of the machine, when it is done.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/helpers"))

from passage import Passage  # noqa: E402
from real_federation import HELPERS, RealFederation  # noqa: E402
from small_sites import NETWORK, small_site, untrained  # noqa: E402
from tiny_trainer import make_sites  # noqa: E402
from waiting_trainer import SECONDS  # noqa: E402

from fedpsma.contract import TrainingPlan  # noqa: E402
from fedpsma.joining.keys import make_node_key  # noqa: E402
from fedpsma.joining.records import SiteRequest  # noqa: E402
from fedpsma.model.checkpoint import ModelCard, save_checkpoint  # noqa: E402
from server.federation.admission import admit  # noqa: E402
from server.federation.app import write_app  # noqa: E402
from server.federation.home import FederationHome  # noqa: E402
from server.federation.superlink import CONNECTION, ONE_THREAD, SuperLink, free_port, processes_of  # noqa: E402

NAMES = ("north", "south", "west")
FIXED_SEED = "allow_fixed_seed = true\n"
WAITING = 'trainer = "waiting_trainer"\n'
PLAN = TrainingPlan(
    rounds=2, steps_per_round=2, patients_per_step=2, patches_per_patient=1, patch_voxels=16, delta=0.05, seed=11
)
WORK_S, WEIGHTS_MB, IDLE_SITES = 60.0, 20, 30
MEGABYTE = 2**20
SUPERNODE = str(Path(sys.executable).with_name("flower-supernode"))
Row = tuple[str, str, str]


@dataclass
class ShimWatch:
    """Sees what the processes of Flower's messages take, by looking at them a few times a second."""

    homes: list[Path]
    seconds: dict[int, float] = field(default_factory=dict)
    peak_mb: dict[int, float] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Look in the background until :meth:`stop`."""
        threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def _look(self) -> None:
        while not self._over.wait(0.2):
            for number in [number for home in self.homes for number in processes_of(home)]:
                with suppress(psutil.Error, OSError, StopIteration):
                    process = psutil.Process(number)
                    if "client.steward.gate" in process.cmdline():
                        used = process.cpu_times()
                        self.seconds[number] = used.user + used.system
                        self.peak_mb[number] = _peak_mb(number)


def main() -> None:
    """Measure and print the rows of each part as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; give it as often as you like")
    console = Console(highlight=False)
    for name in parser.parse_args().only or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            before = os.getloadavg()[0]
            rows = PARTS[name](Path(folder))
        for what, measured, target in rows:
            console.print(f"{what:<62} {measured:>8}  {target}", soft_wrap=True)
        console.print(f"({name}: load {before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores)")


def measure_start(folder: Path) -> list[Row]:
    """Set a federation up and play one round."""
    work, before = 2.0, resource.getrusage(resource.RUSAGE_CHILDREN)
    with _waiting_federation(folder, work, 1) as (real, _, started):
        watch = ShimWatch([(real.state(name) / "flower").absolute() for name in NAMES])
        watch.start()
        real.call("federation", "run", "first", *_init(folder), "--set", "rounds=1")
        real.wait_for_event("first", "round_ended", 1)
        setup = time.monotonic() - started - work
        watch.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds, memory = sorted(watch.seconds.values()), sorted(watch.peak_mb.values())
    return [
        ("init to the end of round 1, three sites, without the training", f"{setup:.0f} s", "90 s at most"),
        ("processor time of all commands and processes for it", f"{used:.0f} s", ""),
        ("ClientApp, processor time, median", f"{float(np.median(seconds)):.2f} s", "2.5 s at most"),
        ("ClientApp, peak memory, largest", f"{memory[-1]:.0f} MB", "120 MB at most"),
    ]


def measure_round(folder: Path) -> list[Row]:
    """Play rounds of a minute of work."""
    with _waiting_federation(folder, WORK_S, 1) as (real, _, _):
        real.call("federation", "run", "first", *_init(folder), "--set", "rounds=2")
        real.wait_for_event("first", "round_ended", 2)
        second = _round_seconds(real)[-1]
    return [(f"round against the bare loop, {WORK_S:.0f} s of work", f"{second / WORK_S:.2f}x", "1.15x at most")]


def measure_bytes(folder: Path) -> list[Row]:
    """Play rounds of large weights behind a passage that counts."""
    with _waiting_federation(folder, 1.0, WEIGHTS_MB) as (real, passage, _):
        watch = ShimWatch([(real.state(name) / "flower").absolute() for name in NAMES])
        real.call("federation", "run", "first", *_init(folder), "--set", "rounds=3")
        real.wait_for_event("first", "round_ended", 1)
        before = passage.bytes
        watch.start()
        real.wait_for_event("first", "run_ended")
        watch.stop()
        sent, memory = passage.bytes - before, _coordinator_mb(real)
    ratio = sent / (2 * 2 * len(NAMES) * WEIGHTS_MB * MEGABYTE)
    what = f"{WEIGHTS_MB} MB of weights"
    return [
        (f"bytes on the wire against {what}, two rounds", f"{ratio:.3f}x", "1.05x at most"),
        (f"ClientApp with {what}, peak memory, largest", f"{max(watch.peak_mb.values()):.0f} MB", ""),
        ("supervisor and SuperLink with its processes, memory", f"{memory:.0f} MB", ""),
    ]


def measure_stock(folder: Path) -> list[Row]:
    """Train the same small network with stewards, and with nothing but Flower."""
    rng = np.random.default_rng(1)
    datasets = {name: small_site(folder / name, name, rng) for name in NAMES}
    initial = untrained(folder / "small.safetensors")
    settings = [f"plan.{name}={value}" for name, value in PLAN.model_dump(exclude_defaults=True).items()]
    options = [part for one in [*settings, f"init={initial}"] for part in ("--set", one)]
    with _federation(folder / "s", datasets, FIXED_SEED) as (real, _, _):
        real.call("federation", "run", "first", *options)
        real.wait_for_event("first", "run_ended")
        ours = _round_seconds(real)
    stock = _stock(folder / "stock", tuple(datasets.values()), initial)
    parts = {"first round": slice(0, 1), "second round": slice(1, 2), "both": slice(0, 2)}
    rows = []
    for name, part in parts.items():
        mine, theirs = sum(ours[part]), sum(stock[part])
        told = f"{name} against stock Flower: {mine:.0f} s and {theirs:.0f} s"
        rows.append((told, f"{mine / theirs:.2f}x", "0.45x at most"))
    return rows


def measure_idle(folder: Path) -> list[Row]:
    """Let nodes connect and wait."""
    real = RealFederation(folder)
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        real.init()
        names = [f"site{number:02d}" for number in range(IDLE_SITES)]
        for name in names:
            key = make_node_key(folder / f"{name}.key")
            request = SiteRequest(site=name, node_key=key, signing_key=name.encode().hex().ljust(64, "0"))
            admit(FederationHome(real.home), request)
        real.up()
        before = _coordinator_mb(real)
        for name in names:
            nodes.append(_idle_node(folder, name, real))
            time.sleep(1.0)
        connected = _wait_for_nodes(folder, names)
        time.sleep(30)
        after = _coordinator_mb(real)
    finally:
        for node in nodes:
            node.terminate()
        real.close()
    return [
        (f"coordinator's memory with {connected} idle nodes", f"{after:.0f} MB", ""),
        ("of it for each node", f"{(after - before) / max(connected, 1):.1f} MB", ""),
    ]


def _idle_node(folder: Path, name: str, real: RealFederation) -> subprocess.Popen[bytes]:
    home = folder / name
    home.mkdir()
    certificate = real.home / "authority.crt"
    command = [
        *(SUPERNODE, "--superlink", f"localhost:{real.port}", "--root-certificates", str(certificate)),
        *("--auth-supernode-private-key", str(folder / f"{name}.key"), "--port", str(free_port())),
    ]
    with open(home / "log", "ab") as log:
        return subprocess.Popen(command, env=_environment(home), stdout=log, stderr=log)


def _wait_for_nodes(folder: Path, names: list[str]) -> int:
    deadline, there = time.monotonic() + 240, 0
    while there < len(names) and time.monotonic() < deadline:
        time.sleep(2)
        there = sum("SuperNode ID" in (folder / name / "log").read_text("utf-8") for name in names)
    return there


@contextmanager
def _waiting_federation(
    folder: Path, seconds: float, megabytes: int
) -> Iterator[tuple[RealFederation, Passage, float]]:
    """Give a federation whose trainer waits, with weights of a size beside it."""
    os.environ[SECONDS] = str(seconds)
    rng = np.random.default_rng(0)
    weights = {f"w{n}": rng.normal(size=(2**18,)).astype(np.float32) for n in range(megabytes)}
    card = ModelCard(name="noise", data="none", recipe={}, metrics={})
    save_checkpoint(folder / "initial.safetensors", NETWORK, weights, card)
    datasets = dict(zip(NAMES, make_sites(folder, NAMES), strict=True))
    with _federation(folder / "w", datasets, WAITING) as found:
        yield found


def _init(folder: Path) -> tuple[str, ...]:
    return ("--set", f"init={folder / 'initial.safetensors'}", "--epsilon", "8")


@contextmanager
def _federation(
    folder: Path, datasets: dict[str, Path], policy: str
) -> Iterator[tuple[RealFederation, Passage, float]]:
    """Give a federation whose sites take part, the passage before its door, and when its making began."""
    folder.mkdir()
    real = RealFederation(folder)
    passage = Passage(free_port(), free_port())
    passage.start()
    started = time.monotonic()
    try:
        real.init(passage.port, passage.target)
        real.up()
        for name, dataset in datasets.items():
            real.admit(name, real.make_site(name, dataset, policy))
            real.join(name)
            real.take_part(name)
        yield real, passage, started
    finally:
        real.close()


def _stock(folder: Path, datasets: tuple[Path, ...], initial: Path) -> list[float]:
    from server.simulation import SimulationConfig
    from server.simulation.preparation import prepared

    run, _ = prepared(SimulationConfig(datasets=datasets, out=folder / "run", plan=PLAN, init=initial))
    superlink = SuperLink(folder / "home", free_port(), ("--insecure",))
    superlink.home.mkdir(parents=True)
    process = superlink.start()
    nodes = [_plain_node(folder, number, len(datasets), superlink.port) for number in range(len(datasets))]
    try:
        app = write_app(folder / "app")
        superlink.flwr("run", str(app), CONNECTION, "--run-config", f'run-folder="{run.path}"')
        while not (events := run.events.read()[0]) or events[-1].kind not in ("run_ended", "run_failed"):
            time.sleep(1)
        return [one.seconds or 0.0 for one in events if one.kind == "round_ended"]
    finally:
        for node in nodes:
            node.terminate()
        superlink.stop(process)


def _plain_node(folder: Path, number: int, sites: int, port: int) -> subprocess.Popen[bytes]:
    home = folder / f"node_{number}"
    home.mkdir()
    command = [SUPERNODE, "--insecure", "--superlink", f"127.0.0.1:{port}", "--port", str(free_port())]
    config = f"partition-id={number} num-partitions={sites}"
    with open(home / "log", "ab") as log:
        return subprocess.Popen([*command, "--node-config", config], env=_environment(home), stdout=log, stderr=log)


def _environment(home: Path) -> dict[str, str]:
    """Return what a plain SuperNode needs: its folder, Flower's other programs, and no call to anybody."""
    path = f"{Path(SUPERNODE).parent}{os.pathsep}{os.environ['PATH']}"
    places = {"FLWR_HOME": str(home), "PYTHONPATH": f"{ROOT}{os.pathsep}{HELPERS}", "PATH": path}
    return {**os.environ, **ONE_THREAD, **places, "FLWR_TELEMETRY_ENABLED": "0"}


def _round_seconds(real: RealFederation) -> list[float]:
    return [float(str(one["seconds"])) for one in real.events("first") if one["kind"] == "round_ended"]


def _coordinator_mb(real: RealFederation) -> float:
    """Return the memory of the supervisor, the SuperLink and what they started, shared pages counted once."""
    numbers = {*processes_of((real.home / "superlink").resolve()), real.processes["up"].pid}
    total = 0
    for number in numbers:
        with suppress(psutil.Error):
            total += psutil.Process(number).memory_full_info().pss
    return total / MEGABYTE


def _peak_mb(number: int) -> float:
    """Return the largest resident memory that a process has had (Linux)."""
    lines = Path(f"/proc/{number}/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


PARTS: dict[str, Callable[[Path], list[Row]]] = {
    "start": measure_start,
    "round": measure_round,
    "bytes": measure_bytes,
    "stock": measure_stock,
    "idle": measure_idle,
}

if __name__ == "__main__":
    main()
