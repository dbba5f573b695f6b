"""Steward and Flower's process under two accounts: a round is trained, and the data stay with the one of them."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from accounts import Account, accounts
from real_federation import RealFederation
from tiny_trainer import make_checkpoint, make_sites

from client.ledger import Ledger
from client.steward.events import SiteLog
from server.federation.superlink import processes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
STEWARD, CARRIER, STRANGER = (f"fedpsma-{name}-{os.getpid() % 10000}" for name in ("s", "c", "x"))
POLICY = 'trainer = "tiny_trainer"\n'


@pytest.fixture(scope="module")
def federation() -> Iterator[RealFederation]:
    """One site, whose folder and data belong to one account, and the network to another."""
    # Not pytest's folder, which no other account can enter.
    place = Path(tempfile.mkdtemp(prefix="fp"))
    place.chmod(0o755)
    try:
        with accounts((STEWARD, CARRIER, STRANGER)), closing(RealFederation(place)) as real:
            if not Account(STRANGER).can(sys.executable, "-c", "import flwr, typer"):
                pytest.skip("another account cannot start this Python")
            real.init()
            make_checkpoint(place / "initial.safetensors")
            (dataset,) = make_sites(place, ["north"])
            real.admit("north", real.make_site("north", dataset, POLICY))
            real.join("north")
            real.change_policy("north", lambda text: text.replace("least = 2", "least = 1"))
            _hand_over(real, dataset)
            real.up()
            yield real
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _hand_over(federation: RealFederation, dataset: Path) -> None:
    """Give folders to the accounts as the page for sites has it, and start both sides."""
    dataset.chmod(0o700)
    hatch, own = federation.folder / "run", federation.folder / "flower"
    for folder, mode in ((hatch, 0o711), (own, 0o700)):
        folder.mkdir(mode=mode)
        folder.chmod(mode)
    for folder, name in ((federation.state("north"), STEWARD), (dataset, STEWARD), (hatch, STEWARD), (own, CARRIER)):
        subprocess.run(["chown", "-R", f"{name}:", str(folder)], check=True)
    steward = Account(STEWARD, (Account(CARRIER).entry.pw_gid,))
    apart = ("--carried-by", CARRIER, "--socket", hatch / "steward.sock")
    home = {"HOME": "/nonexistent"}
    federation.start(
        "north", "site", "run", "--state", federation.state("north"), *apart, before=steward.before(), **home
    )
    federation.wait_for((hatch / "steward.sock").exists, "the steward")
    carry = ("site", "carry", "--socket", hatch / "steward.sock", "--folder", own)
    federation.start("carrier", *carry, before=Account(CARRIER).before(), **home)


def test_a_round_is_trained_and_released(federation: RealFederation) -> None:
    federation.wait_for(lambda: federation.is_connected("north"), "the site")
    settings = ("init=initial.safetensors", "rounds=1", "delta=0.05", "min_sites=1")
    federation.call("federation", "run", "apart", *(part for one in settings for part in ("--set", one)))
    federation.wait_for(lambda: federation.standing("apart") in ("finished", "failed"), "the end")
    assert federation.standing("apart") == "finished", federation.all_logs()
    assert len(Ledger(federation.folder / "data_north" / "ledger.jsonl").charged()) == 1


def test_the_account_with_the_network_can_read_nothing_of_the_site(federation: RealFederation) -> None:
    state, data = federation.state("north"), federation.folder / "data_north"
    secrets = [path for path in (*state.rglob("*"), *data.rglob("*")) if path.is_file()]
    names = {path.name for path in secrets}
    assert {"identity.key", "node.key", "site.toml", "events.jsonl", "ledger.jsonl", "dataset.json"} <= names, names
    steward, carrier = Account(STEWARD), Account(CARRIER)
    for path in secrets:
        assert steward.can("cat", path), path
        assert not carrier.can("cat", path), path
    for folder in (state, data):
        assert not carrier.can("ls", folder)
        assert not carrier.can("touch", folder / "new")


def test_the_socket_is_for_these_two_accounts_alone(federation: RealFederation) -> None:
    path = federation.folder / "run" / "steward.sock"
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert (found.st_uid, found.st_gid) == (Account(STEWARD).entry.pw_uid, Account(CARRIER).entry.pw_gid)
    knock = (sys.executable, "-c", "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])", path)
    assert Account(CARRIER).can(*knock)
    assert not Account(STRANGER).can(*knock)
    assert not Account(CARRIER).can("rm", path)
    assert not Account(STRANGER).can("ls", federation.folder / "flower")


def test_what_runs_as_whom_and_a_carrier_that_dies_is_noticed(federation: RealFederation) -> None:
    flower = processes_of(federation.folder / "flower" / "flower")
    assert flower
    carrier = federation.processes.pop("carrier")
    assert {_owner(number) for number in (*flower, carrier.pid)} == {Account(CARRIER).entry.pw_uid}
    assert _owner(federation.processes["north"].pid) == Account(STEWARD).entry.pw_uid
    for number in (*flower, carrier.pid):
        os.kill(number, signal.SIGKILL)
    carrier.wait()
    log = SiteLog(federation.state("north") / "events.jsonl")
    federation.wait_for(lambda: log.read()[-1].kind == "disconnected", "the steward's word")


def _owner(number: int) -> int:
    return Path(f"/proc/{number}").stat().st_uid
