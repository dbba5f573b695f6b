"""``fedpsma federation up``: keeps SuperLink and front door running, and lets in the nodes that were admitted."""

from __future__ import annotations

import asyncio
import signal
import ssl
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from fedpsma.errors import InputError
from fedpsma.io.files import file_state, held_alone, write_json
from server.federation.admission import Registrar
from server.federation.certificates import expiry_of
from server.federation.clocks import SiteClocks
from server.federation.front_door import Door, FrontDoor
from server.federation.home import FederationHome
from server.federation.runs import resume_cut_off
from server.federation.superlink import SuperLink, SuperLinkError, free_port

LOOK_S = 1.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
# Longer than this without a crash, and the next one is treated as the first.
STEADY_S = 300.0
_DAY_S = 24 * 3600.0

Say = Callable[[str], None]


def superlink_of(home: FederationHome, port: int) -> SuperLink:
    """Return the SuperLink of a federation: TLS, admitted nodes only, its state in a data base."""
    options = (
        "--ssl-ca-certfile",
        str(home.authority.certificate.resolve()),
        "--ssl-certfile",
        str(home.superlink.certificate.resolve()),
        "--ssl-keyfile",
        str(home.superlink.key.resolve()),
        "--enable-supernode-auth",
        "--database",
        str(home.flower.resolve() / "state.db"),
    )
    return SuperLink(home.flower.resolve(), port, options, home.authority.certificate.resolve())


def require_valid(home: FederationHome, say: Say) -> None:
    """Say which certificates end soon.

    Raises:
        InputError: One has ended, or does not belong to its key.
    """
    for pair in (home.front_door, home.superlink):
        pair.require_whole()
    for expiry in home.expiries():
        if expiry.is_over:
            raise InputError(str(expiry), where=str(expiry.certificate), remedy="run: fedpsma federation renew")
        if expiry.is_near:
            say(f"{expiry}; run: fedpsma federation renew")


def keep_up(home: FederationHome, say: Say) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        InputError: This is no federation, it runs already, a certificate has ended, or the address is taken.
    """
    config = home.config()
    require_valid(home, say)
    with held_alone(home.flower):
        superlink = superlink_of(home, config.superlink_port or free_port())
        # What an earlier supervisor left when it was killed.
        superlink.end_processes()
        home.clocks_path.unlink(missing_ok=True)
        asyncio.run(_Supervisor(home, superlink, say, SiteClocks(home, say)).run())


@dataclass
class _Supervisor:
    home: FederationHome
    superlink: SuperLink
    say: Say
    clocks: SiteClocks

    async def run(self) -> None:
        over = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, over.set)
        config = self.home.config()
        host, _, port = config.listen.rpartition(":")
        authority = self.home.authority.certificate
        door = Door(host.strip("[]"), int(port), self.home.front_door, self.superlink.port, authority)
        front = FrontDoor(door, self.clocks.heard)
        try:
            async with front.serving():
                self.say(f"{config.name}: the front door is open at {config.listen} for {config.address}")
                duties = (self._keep_superlink(over), self._show_renewed(front, over), self._warn_daily(over))
                work = [asyncio.create_task(one) for one in duties]
                await over.wait()
                # Each ends what it has started.
                await asyncio.gather(*work)
        except OSError as error:
            if over.is_set():
                raise
            remedy = "change listen, or stop what listens there"
            raise InputError(f"cannot be listened at ({error.strerror})", where=config.listen, remedy=remedy) from error

    async def _keep_superlink(self, over: asyncio.Event) -> None:
        """Start the SuperLink again whenever it ends, later each time it ends soon."""
        pause = FIRST_PAUSE_S
        while not over.is_set():
            started = time.monotonic()
            try:
                process = await asyncio.to_thread(self.superlink.start)
                await self._attend(process, over)
            except SuperLinkError as error:
                self.say(str(error))
            if not over.is_set():
                pause = FIRST_PAUSE_S if time.monotonic() - started > STEADY_S else min(2 * pause, LONGEST_PAUSE_S)
                self.say(f"the SuperLink has ended; it starts again in {pause:.0f} s")
                await asyncio.to_thread(self.superlink.end_processes)
                await _wait(over, pause)

    async def _attend(self, process: subprocess.Popen[bytes], over: asyncio.Event) -> None:
        """Do what there is to do while the SuperLink runs; ends with it, or ends it when all is over."""
        registrar = Registrar(self.home, self.superlink, self.say)
        try:
            await asyncio.to_thread(registrar.forget_lost)
            await asyncio.to_thread(registrar.sync)
            self._note_state()
            self.say("the SuperLink is well")
            await asyncio.to_thread(resume_cut_off, self.home, self.superlink, self.say)
            while process.poll() is None and not over.is_set():
                await _wait(over, LOOK_S)
                await asyncio.to_thread(registrar.sync)
                await asyncio.to_thread(self.clocks.note, registrar.wanted())
        finally:
            (self.home.flower / "up.json").unlink(missing_ok=True)
            await asyncio.to_thread(self.superlink.stop, process)

    def _note_state(self) -> None:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.home.flower / "up.json", {"superlink_port": self.superlink.port, "since": since})

    async def _show_renewed(self, front: FrontDoor, over: asyncio.Event) -> None:
        """Show a certificate that was renewed meanwhile."""
        shown = file_state(self.home.front_door.certificate)
        while not over.is_set():
            await _wait(over, LOOK_S)
            found = file_state(self.home.front_door.certificate)
            # Between the new key and the new certificate the two do not belong together.
            with suppress(ssl.SSLError):
                if found not in (None, shown):
                    front.show_anew()
                    self.say(f"the front door shows its new certificate: {expiry_of(self.home.front_door)}")
                    shown = found

    async def _warn_daily(self, over: asyncio.Event) -> None:
        """Say every day which certificates end soon."""
        while not over.is_set():
            await _wait(over, _DAY_S)
            for expiry in self.home.expiries():
                if expiry.is_near and not over.is_set():
                    self.say(f"{expiry}; run: fedpsma federation renew")


async def _wait(over: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
