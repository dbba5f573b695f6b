"""``fedpsma site run``: the steward with its socket, and the SuperNode beside it, until somebody ends it."""

from __future__ import annotations

import pwd
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from client.policy import SitePolicy, problem_of, read_policy
from client.steward.carrier import CarrierDesk
from client.steward.connection import Connection
from client.steward.events import SiteLog
from client.steward.home import SiteHome
from client.steward.joining import require_current
from client.steward.listener import Listener
from client.steward.steward import Steward
from client.steward.supernode import SuperNode
from fedpsma.errors import InputError
from fedpsma.io.files import file_state, held_alone
from fedpsma.training.trainer import load_trainer, require_trainer

LOOK_S = 0.5
_GIGABYTE = 2**30


def run_site(home: SiteHome, ended: threading.Event, carrier: str | None = None) -> None:
    """Serve the federation that this site joined until ``ended`` is set or the site leaves.

    Args:
        home: The site.
        ended: Ends it.
        carrier: The account of this machine that runs Flower; ``None`` leaves it to this process.

    Raises:
        InputError: This is no site, it has joined nothing, its policy is wrong, it runs already, or there is no such
            account.
    """
    home.request()
    group = None if carrier is None else _group_of(carrier)
    bundle = home.bundle()
    policy = checked_policy(home.folder)
    log = SiteLog(home.events_path)
    home.flower_path.mkdir(parents=True, exist_ok=True)
    with held_alone(home.folder), _noted(log, bundle.federation):
        # Loaded while it connects, so that the first round does not wait for it.
        threading.Thread(target=load_trainer, args=(policy.trainer,), daemon=True).start()
        while True:
            _serve(home, log, ended, group)
            if ended.is_set() or not home.joined:
                return


def _serve(home: SiteHome, log: SiteLog, ended: threading.Event, group: int | None) -> None:
    """Serve until ``ended`` is set, the site leaves, or it joins again with another bundle."""
    joined, bundle = file_state(home.bundle_path), home.bundle()
    require_current(bundle)
    carrier = None if group is None else CarrierDesk(home)
    steward = Steward(home, carrier=carrier)
    listener = Listener(home.socket_path, steward.answer, group)

    def stands() -> bool:
        return file_state(home.bundle_path) == joined

    try:
        if carrier is None:
            connection = Connection(log.append, bundle, ended)
            with connection.looked_after():
                SuperNode(home, bundle, connection.changed).keep_running(ended, stands)
        else:
            while stands() and not ended.wait(LOOK_S):
                carrier.look()
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


@contextmanager
def _noted(log: SiteLog, federation: str) -> Iterator[None]:
    log.append("started", federation=federation)
    try:
        yield
    finally:
        log.append("ended", federation=federation)


def _group_of(account: str) -> int:
    try:
        return pwd.getpwnam(account).pw_gid
    except KeyError as error:
        remedy = f"make it: useradd --system {account}"
        raise InputError("is no account of this machine", where=account, remedy=remedy) from error


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
    require_trainer(policy.trainer)
    if policy.dataset is None:
        raise InputError("names no data set", where=str(folder / "site.toml"), remedy='add dataset = "FOLDER"')
    if policy.memory_gb is not None:
        most = int(policy.memory_gb * _GIGABYTE)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    return policy
