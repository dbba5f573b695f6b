"""What a real federation costs beside the training: time, bytes, memory; against the bare loop and stock Flower.

Coordinator and sites are real processes on the loopback address, set up by the commands that people use. A trainer that
waits stands for the training, so that sites do not fight for the processor. Run it with
``python benchmarks/federation.py``; with ``--stock`` it also trains a small network under a plain SuperLink and plain
SuperNodes, where every message starts a process that loads the model code. It takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/helpers"))

from real_federation import HELPERS, RealFederation  # noqa: E402
from small_sites import NETWORK, small_site, untrained  # noqa: E402
from tiny_trainer import make_sites  # noqa: E402
from waiting_trainer import SECONDS  # noqa: E402

from fedpsma.contract import TrainingPlan  # noqa: E402
from fedpsma.model.checkpoint import ModelCard, load_checkpoint, save_checkpoint  # noqa: E402
from server.federation.app import write_app  # noqa: E402
from server.federation.superlink import CONNECTION, ONE_THREAD, SuperLink, free_port, processes_of  # noqa: E402
from server.run_folder import RunFolder  # noqa: E402

NAMES = ("north", "south", "west")
POLICY = "allow_fixed_seed = true\n"
PLAN = TrainingPlan(
    rounds=2, steps_per_round=2, patients_per_step=2, patches_per_patient=1, patch_voxels=16, delta=0.05, seed=11
)


@dataclass
class Meter:
    """Passes connections on to a port and counts the bytes both ways, as they are on the wire."""

    port: int
    target: int
    bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Listen in the background for the rest of the process."""
        server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            caller, _ = server.accept()
            with suppress(OSError):
                inside = socket.create_connection(("127.0.0.1", self.target))
                for source, sink in ((caller, inside), (inside, caller)):
                    threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError), sink:
            while piece := source.recv(1 << 16):
                sink.sendall(piece)
                with self._lock:
                    self.bytes += len(piece)


@dataclass(frozen=True)
class Deployed:
    """What was measured of a federation whose trainer waits."""

    setup_s: float
    round_s: float
    bytes_per_weight: float
    server_mb: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="local work of a round")
    parser.add_argument("--megabytes", type=int, default=20, help="size of the weights")
    parser.add_argument("--stock", action="store_true", help="compare with stock Flower")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = _deployed(Path(folder), wanted.seconds, wanted.megabytes)
        ours, stock = _against_stock(Path(folder)) if wanted.stock else (None, None)
    table = Table(box=None, pad_edge=False)
    for title in ("what", "measured", "target"):
        table.add_column(title)
    table.add_row("init to the end of round 1, without the training", f"{found.setup_s:.0f} s", "90 s at most")
    ratio = found.round_s / wanted.seconds
    table.add_row(f"round against the bare loop, {wanted.seconds:.0f} s of work", f"{ratio:.2f}x", "1.15x at most")
    table.add_row("bytes on the wire against the weights", f"{found.bytes_per_weight:.3f}x", "1.05x at most")
    table.add_row("memory of supervisor and SuperLink", f"{found.server_mb:.0f} MB", "")
    if ours and stock:
        table.add_row("two rounds against stock Flower", f"{ours / stock:.2f}x ({stock:.0f} s)", "0.45x at most")
    Console(highlight=False).print(table)


def _deployed(folder: Path, seconds: float, megabytes: int) -> Deployed:
    os.environ[SECONDS] = str(seconds)
    initial = _weights_of_size(folder / "initial.safetensors", megabytes)
    datasets = dict(zip(NAMES, make_sites(folder, NAMES), strict=True))
    with _federation(folder / "w", datasets, 'trainer = "waiting_trainer"\n' + POLICY) as (real, meter, started):
        real.call("federation", "run", "first", "--set", f"init={initial}", "--set", "rounds=3", "--epsilon", "8")
        real.wait_for_event("first", "round_ended", 1)
        setup = time.monotonic() - started - seconds
        before = meter.bytes
        real.wait_for_event("first", "round_ended", 3)
        sent = meter.bytes - before
        rounds = [float(str(one["seconds"])) for one in real.events("first") if one["kind"] == "round_ended"]
        memory = _memory_mb(real)
    weights = 2 * 2 * len(NAMES) * megabytes * 2**20
    return Deployed(setup, float(np.mean(rounds[1:])), sent / weights, memory)


@contextmanager
def _federation(folder: Path, datasets: dict[str, Path], policy: str) -> Iterator[tuple[RealFederation, Meter, float]]:
    """Give a federation whose sites take part, the meter before its door, and when its making began."""
    folder.mkdir()
    real = RealFederation(folder)
    meter = Meter(free_port(), free_port())
    meter.start()
    started = time.monotonic()
    try:
        real.init(meter.port, meter.target)
        real.up()
        for name, dataset in datasets.items():
            real.admit(name, real.make_site(name, dataset, policy))
            real.join(name)
            real.take_part(name)
        yield real, meter, started
    finally:
        real.close()


def _against_stock(folder: Path) -> tuple[float, float]:
    """Return the seconds of two rounds with a steward at each site, and with nothing but Flower."""
    rng = np.random.default_rng(1)
    datasets = {name: small_site(folder / name, name, rng) for name in NAMES}
    initial = untrained(folder / "small.safetensors")
    settings = [f"plan.{name}={value}" for name, value in PLAN.model_dump(exclude_defaults=True).items()]
    options = [part for one in [*settings, f"init={initial}"] for part in ("--set", one)]
    with _federation(folder / "s", datasets, POLICY) as (real, _, _):
        real.call("federation", "run", "first", *options)
        real.wait_for_event("first", "run_ended")
        (ours,) = (float(str(one["seconds"])) for one in real.events("first") if one["kind"] == "run_ended")
    return ours, _stock(folder / "stock", tuple(datasets.values()), initial)


def _stock(folder: Path, datasets: tuple[Path, ...], initial: Path) -> float:
    from server.simulation import SimulationConfig
    from server.simulation.datasets import site_data
    from server.simulation.run import _prepare

    config = SimulationConfig(datasets=datasets, out=folder / "run", plan=PLAN, init=initial)
    run = RunFolder(folder / "run")
    _prepare(config, run, site_data(config))
    superlink = SuperLink(folder / "home", free_port(), ("--insecure",))
    superlink.home.mkdir(parents=True)
    process = superlink.start()
    nodes = [_plain_node(folder, number, len(datasets), superlink.port) for number in range(len(datasets))]
    try:
        app = write_app(folder / "app")
        superlink.flwr("run", str(app), CONNECTION, "--run-config", f'run-folder="{run.path}"')
        while not (events := run.events.read()[0]) or events[-1].kind not in ("run_ended", "run_failed"):
            time.sleep(1)
        return float(events[-1].seconds or 0)
    finally:
        for node in nodes:
            node.terminate()
        superlink.stop(process)


def _plain_node(folder: Path, number: int, sites: int, port: int) -> subprocess.Popen[bytes]:
    home = folder / f"node_{number}"
    home.mkdir()
    command = ["flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}", "--port", str(free_port())]
    config = f"partition-id={number} num-partitions={sites}"
    places = {"FLWR_HOME": str(home), "PYTHONPATH": f"{ROOT}{os.pathsep}{HELPERS}"}
    environment = {**os.environ, **ONE_THREAD, **places, "FLWR_TELEMETRY_ENABLED": "0"}
    with open(home / "log", "ab") as log:
        return subprocess.Popen([*command, "--node-config", config], env=environment, stdout=log, stderr=log)


def _weights_of_size(path: Path, megabytes: int) -> Path:
    rng = np.random.default_rng(0)
    weights = {f"w{n}": rng.normal(size=(2**18,)).astype(np.float32) for n in range(megabytes)}
    save_checkpoint(path, NETWORK, weights, ModelCard(name="noise", data="none", recipe={}, metrics={}))
    assert load_checkpoint(path).weights.keys() == weights.keys()
    return path


def _memory_mb(real: RealFederation) -> float:
    numbers = [*processes_of((real.home / "superlink").resolve()), real.processes["up"].pid]
    sizes = []
    for number in numbers:
        with suppress(psutil.Error):
            sizes.append(psutil.Process(number).memory_info().rss)
    return sum(sizes) / 2**20


if __name__ == "__main__":
    main()
