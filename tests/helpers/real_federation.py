"""A federation of real processes on the loopback address, driven by the commands that people use."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from command_line import run_fedpsma
from network import Network

from server.federation.home import FederationHome
from server.federation.runs import FederationRun
from server.federation.superlink import free_port, processes_of

HELPERS = Path(__file__).resolve().parent
ROOT = HELPERS.parents[1]
COMMAND = [sys.executable, "-c", "from fedpsma.cli import main; main()"]
FINGERPRINT = re.compile(r"\b(?:[0-9A-F]{4}-){7}[0-9A-F]{4}\b")
PATIENCE_S = 400.0


@dataclass
class RealFederation:
    """A coordinator and sites in one folder; every process that is started here ends with :meth:`close`."""

    folder: Path
    network: Network = field(default_factory=lambda: Network("nobody asked for more"))
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "coordinator"

    def state(self, site: str) -> Path:
        return self.folder / f"site_{site}"

    def call(self, *arguments: object, code: int = 0) -> str:
        """Run a command to its end and return what it said."""
        done = run_fedpsma(*arguments, cwd=self.folder, PYTHONPATH=f"{ROOT}{os.pathsep}{HELPERS}")
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def init(self, port: int | None = None, door: int | None = None) -> None:
        """Make the federation; sites connect to ``port``, and ``door`` is the one behind it where they differ."""
        port = port or free_port()
        options = ("--address", f"{self.network.host}:{port}", "--listen", f"{self.network.listen}:{door or port}")
        said = self.call("federation", "init", "prostate", *options)
        (self.folder / "fingerprint").write_text(_fingerprint(said), "utf-8")

    def make_site(self, name: str, dataset: Path, policy: str = "") -> str:
        """Make a site with lines of its own in its policy, and return the fingerprint of its request."""
        said = self.call("site", "init", dataset, "--state", self.state(name))
        self.change_policy(name, lambda text: policy + text.replace("epsilon_budget = 8.0", "epsilon_budget = 1000.0"))
        return _fingerprint(said)

    def change_policy(self, name: str, change: Callable[[str], str]) -> None:
        path = self.state(name) / "site.toml"
        path.write_text(change(path.read_text("utf-8")), "utf-8")

    def admit(self, name: str, fingerprint: str) -> None:
        self.call("federation", "admit", self.state(name) / "request.json", "--fingerprint", fingerprint)

    def join(self, name: str) -> None:
        told = (self.folder / "fingerprint").read_text("utf-8")
        self.call("site", "join", self.home / "prostate.json", "--state", self.state(name), "--fingerprint", told)

    def start(self, name: str, *arguments: object, before: Sequence[str] = (), **variables: str) -> None:
        """Start a command that goes on until it is ended, behind what stands before it."""
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HELPERS}", **variables}
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [*before, *COMMAND, *map(str, arguments)],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def up(self) -> None:
        self.start("up", "federation", "up")
        self.wait_for(lambda: "is well" in self.log("up"), "the SuperLink")

    def take_part(self, name: str, **variables: str) -> None:
        self.start(name, "site", "run", "--state", self.state(name), before=self.network.enter(name), **variables)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text("utf-8")

    def kill_superlink(self) -> None:
        """End the SuperLink and what it runs, as a power cut would."""
        for number in processes_of((self.home / "superlink").resolve()):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)

    def kill_coordinator(self) -> None:
        """End the supervisor and all that it started without a word."""
        process = self.processes.pop("up")
        process.kill()
        process.wait()
        self.kill_superlink()

    def end(self, name: str) -> None:
        """End a process as its service manager would, so that Flower lets it in again at once; or do nothing."""
        process = self.processes.pop(name, None)
        if process is not None:
            process.terminate()
            process.wait(60)

    def kill(self, name: str) -> None:
        """End a process and its children without a word."""
        process = self.processes.pop(name)
        for number in [*processes_of((self.state(name) / "flower").absolute()), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.wait()

    def events(self, run: str) -> list[dict[str, object]]:
        path = self.home / "runs" / run / "events.jsonl"
        lines = path.read_text("utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def port(self) -> int:
        """Port of the front door."""
        config = tomllib.loads((self.home / "federation.toml").read_text("utf-8"))
        return int(str(config["address"]).rpartition(":")[2])

    def site_is_at(self, name: str, number: int) -> bool:
        """Return whether a site is training this round now."""
        lines = (self.state(name) / "events.jsonl").read_text("utf-8").split("\n")[:-1]
        last = json.loads(lines[-1])
        return bool(last["kind"] == "round_started" and last["round"] == number)

    def is_connected(self, name: str) -> bool:
        """Return whether a site says that it is connected."""
        lines = (self.state(name) / "events.jsonl").read_text("utf-8").split("\n")[:-1]
        told = [kind for line in lines if (kind := json.loads(line)["kind"]) in ("connected", "disconnected")]
        return told[-1:] == ["connected"]

    def connections(self, name: str) -> int:
        """Return how often a site has connected."""
        return (self.state(name) / "events.jsonl").read_text("utf-8").count('"kind": "connected"')

    def standing(self, run: str) -> str:
        """Return how a run stands, as ``federation watch`` says it; asked again and again, so without a process."""
        return FederationRun(FederationHome(self.home), run).standing

    def wait_for_event(self, run: str, kind: str, number: int | None = None) -> None:
        def happened() -> bool:
            return any(one["kind"] == kind and number in (None, one.get("round")) for one in self.events(run))

        self.wait_for(happened, f"{kind} {number} of {run}")

    def wait_for(self, happened: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not happened():
            assert time.monotonic() < deadline, f"waited for {what}\n{self.all_logs()}"
            time.sleep(0.2)

    def all_logs(self) -> str:
        paths = [*self.folder.glob("*.log"), *self.folder.glob("site_*/errors.log"), *self.home.glob("*/superlink.log")]
        return "\n".join(f"== {path.name}\n{path.read_text('utf-8')[-3000:]}" for path in paths)

    def close(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        for place in [(self.home / "superlink").resolve(), *self.folder.glob("site_*/flower")]:
            for number in processes_of(place.absolute()):
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)


def _fingerprint(said: str) -> str:
    found = FINGERPRINT.search(said)
    assert found, said
    return found.group()
