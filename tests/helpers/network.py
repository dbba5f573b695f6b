"""Where the processes of a federation run: each site in a network of its own where the machine allows it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Network:
    """All processes on the loopback address.

    Args:
        why: Why the sites have no networks of their own; empty where they have.
        host: The name by which sites find the coordinator.
        listen: The address at which the coordinator listens.
    """

    why: str
    host: str = "localhost"
    listen: str = "127.0.0.1"

    def enter(self, site: str) -> list[str]:
        """Return what stands before a command that is to run at a site."""
        return []


@dataclass(frozen=True)
class Namespaces(Network):
    """A network namespace for each site, from which it reaches the coordinator, itself, and nobody else."""

    number: int = 0

    def enter(self, site: str) -> list[str]:
        return ["ip", "netns", "exec", self.name(site)]

    def name(self, site: str) -> str:
        return f"fedpsma-{self.number}-{site}"

    def plug(self, site: str) -> str:
        """Return the coordinator's end of a site's cable."""
        return f"fp{self.number}{site}"[:15]

    @property
    def bridge(self) -> str:
        return f"fpbr{self.number}"

    def cut(self, site: str) -> None:
        """Pull the cable of a site: nothing passes, and nobody is told."""
        _ip("link", "set", self.plug(site), "down")

    def mend(self, site: str) -> None:
        """Put the cable of a site in again."""
        _ip("link", "set", self.plug(site), "up")


@contextmanager
def network_of(sites: Sequence[str]) -> Iterator[Network]:
    """Give each site its own network, or all of them the loopback address with the reason why."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        yield Network("network namespaces need root and iproute2")
        return
    number = os.getpid() % 250
    made = Namespaces("", f"10.213.{number}.1", f"10.213.{number}.1", number)
    try:
        try:
            _make(made, sites)
        except subprocess.CalledProcessError as error:
            yield Network(f"this machine makes no network namespaces: {error.stderr.strip()}")
            return
        yield made
    finally:
        for site in sites:
            _ip("netns", "del", made.name(site), check=False)
        _ip("link", "del", made.bridge, check=False)


def _make(made: Namespaces, sites: Sequence[str]) -> None:
    _ip("link", "add", made.bridge, "type", "bridge")
    _ip("addr", "add", f"{made.listen}/24", "dev", made.bridge)
    _ip("link", "set", made.bridge, "up")
    for at, site in enumerate(sites, start=2):
        inside = ("netns", "exec", made.name(site), "ip")
        _ip("netns", "add", made.name(site))
        _ip("link", "add", made.plug(site), "type", "veth", "peer", "name", "eth0", "netns", made.name(site))
        # Sites do not reach each other.
        _ip("link", "set", made.plug(site), "master", made.bridge)
        _ip("link", "set", made.plug(site), "type", "bridge_slave", "isolated", "on")
        _ip("link", "set", made.plug(site), "up")
        _ip(*inside, "addr", "add", f"{made.listen.rpartition('.')[0]}.{at}/24", "dev", "eth0")
        _ip(*inside, "link", "set", "eth0", "up")
        _ip(*inside, "link", "set", "lo", "up")


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)
