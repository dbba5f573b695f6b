"""What Flower's process of one message costs at a site: processor time and memory, thin shim against the whole client.

Each case is measured in processes of their own, several times; the smallest processor time counts, because other work
on the machine only adds to it. Targets: at most 2.5 s of processor time and 120 MB. Run it with
``python benchmarks/site_shim.py``; it takes about two minutes on two busy cores.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from client.envelope import Envelope
from client.steward.listener import Listener

REPEATS = 5
MOST_S, MOST_MB = 2.5, 120
MEGABYTES = (1, 20)
CASES = {
    "python and numpy alone": "import numpy",
    "the gate, up to Flower's own start": "import client.steward.gate, flwr.supernode.runtime.run_clientapp",
    "the shim alone": "import client.app, client.wire",
    "what trains, as in one process a message": "import client.app, client.site, client.training",
}
MEASURE = (
    "import os, resource, sys\nexec(sys.argv[1])\n"
    "used = resource.getrusage(resource.RUSAGE_SELF)\n"
    "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)"
)
MESSAGE = """
import numpy as np
import client.steward.gate, flwr.supernode.runtime.run_clientapp
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity
from client.app import app
from fedpsma.packing import FORMAT, PACKED, pack, unpack
TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
packed = pack({f"a{n}": np.full(2**18, n, np.float32) for n in range(%d)})
arrays = ArrayRecord({PACKED: Array("uint8", (len(packed),), FORMAT, packed)})
message = Message(RecordDict({"order": ConfigRecord({"json": "{}"}), "weights": arrays}), 1, "train")
del arrays, packed
reply = app(message, Context(1, 1, {"steward": %r}, RecordDict(), {}))
assert len(unpack(reply.content["weights"][PACKED].data)) == %d
"""


def main() -> None:
    """Measure and print the table."""
    table = Table(title=f"smallest of {REPEATS}; targets {MOST_S} s, {MOST_MB} MB")
    for name in ("process", "processor s", "memory MB", "within"):
        table.add_column(name, justify="left" if name == "process" else "right")
    for name, code in CASES.items():
        table.add_row(name, *_cells(*_measured(code)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steward.sock"
        listener = Listener(path, _echo)
        for size in MEGABYTES:
            code = MESSAGE % (size, str(path), size)
            table.add_row(f"gate, shim, and {size} MB there and back", *_cells(*_measured(code)))
        listener.close()
    Console().print(table)
    Console().print(_round_trip())


def _echo(asked: Envelope, gone: object) -> Envelope:
    return asked.reply("report", {"json": "{}"}, asked.arrays)


def _measured(code: str) -> tuple[float, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = []
    for _ in range(REPEATS):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, code], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        seconds, megabytes = (float(word) for word in done.stdout.split())
        found.append((seconds, megabytes))
    return min(seconds for seconds, _ in found), max(megabytes for _, megabytes in found)


def _cells(seconds: float, megabytes: float) -> tuple[str, str, str]:
    within = "yes" if seconds <= MOST_S and megabytes <= MOST_MB else "no"
    return f"{seconds:.2f}", f"{megabytes:.0f}", within


def _round_trip() -> str:
    """Return how long 500 MB go to the steward and back, and the memory of both ends together."""
    from client.wire import ask

    weights = {"a": np.zeros(125 * 10**6, np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steward.sock"
        listener = Listener(path, _echo)
        started = time.monotonic()
        ask(path, Envelope("train", {}, weights))
        seconds = time.monotonic() - started
        listener.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"500 MB there and back over the socket: {seconds:.1f} s, {peak:.0f} MB in both ends with the weights"


if __name__ == "__main__":
    main()
