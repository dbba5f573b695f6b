"""``fedpsma site run``: the steward with its socket, and the SuperNode beside it, until somebody ends it."""

from __future__ import annotations

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from client.flower import RunWatch
from client.policy import SitePolicy, problem_of, read_policy
from client.steward.events import EventKind, SiteLog
from client.steward.home import SiteHome
from client.steward.joining import ends_soon, require_current
from client.steward.listener import Listener
from client.steward.reach import Unreached, why_not_connected
from client.steward.steward import Steward
from client.steward.supernode import SuperNode
from fedpsma.errors import InputError
from fedpsma.io.files import file_state, held_alone
from fedpsma.joining.records import JoinBundle
from fedpsma.training.trainer import load_trainer

_GIGABYTE = 2**30


def run_site(home: SiteHome, ended: threading.Event) -> None:
    """Serve the federation that this site joined until ``ended`` is set or the site leaves.

    Raises:
        InputError: This is no site, it has joined nothing, its policy is wrong, or it runs already.
    """
    home.request()
    bundle = home.bundle()
    policy = checked_policy(home.folder)
    log = SiteLog(home.events_path)
    home.flower_path.mkdir(parents=True, exist_ok=True)
    with held_alone(home.folder), _noted(log, bundle.federation):
        # Loaded while it connects, so that the first round does not wait for it.
        threading.Thread(target=load_trainer, args=(policy.trainer,), daemon=True).start()
        while True:
            _serve(home, log, ended)
            if ended.is_set() or not home.joined:
                return


def _serve(home: SiteHome, log: SiteLog, ended: threading.Event) -> None:
    """Serve until ``ended`` is set, the site leaves, or it joins again with another bundle."""
    joined, bundle = file_state(home.bundle_path), home.bundle()
    _warn_of_certificate(bundle, log)
    watch = RunWatch(bundle.address, bundle.ca_certificate.encode(), home.node_key_path.read_bytes())
    steward = Steward(home, run_is_over=watch.is_over)
    listener = Listener(home.socket_path, steward.answer)
    node = SuperNode(home, bundle, _Connection(log, bundle, ended).changed)
    try:
        node.keep_running(ended, lambda: file_state(home.bundle_path) == joined)
    finally:
        steward.stops.stop()
        listener.close()


@contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set; call this in the main thread."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Connection:
    """Notes when the site is connected, when no more, and why not."""

    def __init__(self, log: SiteLog, bundle: JoinBundle, ended: threading.Event) -> None:
        self._log = log
        self._bundle = bundle
        self._ended = ended
        self._connected = False
        self._why: Unreached | None = None

    def changed(self, connected: bool) -> None:
        if connected != self._connected:
            kind: EventKind = "connected" if connected else "disconnected"
            self._log.append(kind)
        self._connected = connected
        if connected or self._ended.is_set():
            self._why = None
            return
        why = why_not_connected(self._bundle)
        # It tries again and again, and says it once.
        if why != self._why:
            self._log.append("not_connected", reason=why)
        self._why = why


@contextmanager
def _noted(log: SiteLog, federation: str) -> Iterator[None]:
    log.append("started", federation=federation)
    try:
        yield
    finally:
        log.append("ended", federation=federation)


def checked_policy(folder: Path) -> SitePolicy:
    """Return the policy, and keep this process and what it starts from now on within its memory.

    Raises:
        InputError: There is none, it is wrong, or it names no data set.
    """
    try:
        policy = read_policy(folder)
    except (OSError, ValueError) as error:
        remedy = "correct site.toml there"
        raise InputError(f"has no valid policy: {problem_of(error)}", where=str(folder), remedy=remedy) from error
    if policy.dataset is None:
        raise InputError("names no data set", where=str(folder / "site.toml"), remedy='add dataset = "FOLDER"')
    if policy.memory_gb is not None:
        most = int(policy.memory_gb * _GIGABYTE)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    return policy


def _warn_of_certificate(bundle: JoinBundle, log: SiteLog) -> None:
    end = require_current(bundle)
    if ends_soon(end):
        log.append("certificate_ends", until=end.isoformat(timespec="seconds"))
