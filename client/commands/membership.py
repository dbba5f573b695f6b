"""``fedpsma site init|join|run|carry|service|status|pause|resume|leave``: a site in a federation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from client.steward.home import SiteHome

State = Annotated[Path, typer.Option(help="Folder of the site: its keys, its policy, its ledger's anchor, its logs.")]
STATE = Path("site")


def init(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Data set folder of this site.")],
    state: State = STATE,
    name: Annotated[
        str | None, typer.Option(help="Name of the site; the data set's own if left out.", show_default=False)
    ] = None,
    patients: Annotated[
        bool,
        typer.Option(
            help="Tell the coordinator how many patients there are; any private round lets it infer that anyway."
        ),
    ] = True,
    trainer: Annotated[
        str, typer.Option(help="What trains here; reporting.llm.federated for adapters, on a report corpus.")
    ] = "client.training",
) -> None:
    """Make this a site: keys, a policy to read and change, and a request for the coordinator.

    Nothing is sent. Give request.json to the coordinator and read its fingerprint aloud; it holds no secret.

    Example: fedpsma site init data/ours
    """
    from client.steward.joining import make_site

    home = _home(state)
    request = make_site(home, dataset, name, tell_patients=patients, trainer=trainer)
    typer.echo(f"site {request.site} in {state}")
    typer.echo(f"1. read and change the policy: {state / 'site.toml'}")
    typer.echo(f"2. give this to the coordinator: {home.request_path}")
    typer.echo(f"   and read aloud: {request.fingerprint}")
    typer.echo("3. when the coordinator's bundle comes: fedpsma site join BUNDLE")


def join(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="File from the coordinator.")],
    state: State = STATE,
    fingerprint: Annotated[
        str | None,
        typer.Option(help="What the coordinator read aloud, to be compared without a question.", show_default=False),
    ] = None,
    code: Annotated[bool, typer.Option(help="Approve the version of the code that the bundle names.")] = True,
) -> None:
    """Join a federation with the file from its coordinator.

    Compare the fingerprint with what the coordinator reads to you. It covers the version of the application code, which
    is approved with it when you join for the first time; any other version waits for: fedpsma site code.

    Example: fedpsma site join prostate.json
    """
    from client.steward.code import CodeBook
    from client.steward.joining import join as join_federation
    from fedpsma.joining.records import JoinBundle

    home, found = _home(state), JoinBundle.read(bundle)
    home.request()
    typer.echo(f"federation {found.federation} at {found.address}")
    typer.echo(f"fingerprint {found.fingerprint}")
    _require_same(found.fingerprint, fingerprint)
    book, is_new = CodeBook(home.code_path), not home.joined
    join_federation(home, found)
    if is_new and code:
        book.approve(found.app_sha256)
    if not book.is_approved(found.app_sha256):
        typer.echo("its version of the code waits for your yes when it comes: fedpsma site code")
    typer.echo("joined; take part with: fedpsma site run" if is_new else "joined; a site run takes it up by itself")


def run(
    state: State = STATE,
    carried_by: Annotated[
        str | None,
        typer.Option(help="Account of this machine that runs Flower: fedpsma site carry.", show_default=False),
    ] = None,
    socket: Annotated[
        Path | None, typer.Option(help="Where to listen for it, with --carried-by.", show_default=False)
    ] = None,
) -> None:
    """Take part: wait for rounds, train what the policy allows, send what it releases. Ends with Ctrl-C or SIGTERM.

    Connects from here to the coordinator, never the other way, and connects again whenever the connection is lost. A
    second terminal shows what happens: fedpsma site status.

    Example: fedpsma site run
    """
    from client.steward.home import SiteHome
    from client.steward.run import ended_by_signals, run_site
    from fedpsma.errors import InputError

    if (carried_by is None) != (socket is None):
        raise InputError("belong together", where="--carried-by and --socket", remedy="give both, or neither")
    home = SiteHome(state, socket)
    with ended_by_signals() as ended:
        typer.echo(f"taking part in {home.bundle().federation}; end with Ctrl-C")
        run_site(home, ended, carried_by)
    typer.echo("ended")


def carry(
    socket: Annotated[Path, typer.Option(help="Where the steward listens.")],
    folder: Annotated[Path, typer.Option(help="Folder of this account, for Flower's files.")],
) -> None:
    """Run Flower for a steward under another account, which has the data; this one has the network and no data.

    Start it as that account; the steward is: fedpsma site run --carried-by ACCOUNT --socket SOCKET.

    Example: fedpsma site carry --socket /run/fedpsma/steward.sock --folder /var/lib/fedpsma-flower
    """
    from client.steward.carrier import carry as carry_for
    from client.steward.home import SiteHome
    from client.steward.run import ended_by_signals

    with ended_by_signals() as ended:
        typer.echo("carrying; end with Ctrl-C")
        carry_for(SiteHome(folder, socket), ended)
    typer.echo("ended")


def service(
    part: Annotated[
        str, typer.Argument(metavar="[all|steward|carrier]", help="Of one account, or of two: print both parts.")
    ] = "all",
    state: State = STATE,
) -> None:
    """Print a systemd unit that starts this site with its machine, as an account of its own with no more rights.

    The account is called fedpsma: it owns the site's folder, and may read the data set and nothing else of yours. In
    two parts, the steward has the data and no network, and fedpsma-flower runs Flower, with the network and no data.

    Example: fedpsma site service > /etc/systemd/system/fedpsma-site.service
    """
    from client.steward.service import PARTS, unit_of
    from fedpsma.errors import InputError

    for known in PARTS:
        if part == known:
            typer.echo(unit_of(_home(state), known), nl=False)
            return
    raise InputError("is no part of a site", where=part, remedy=f"name one of: {', '.join(PARTS)}")


def status(
    state: State = STATE,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show what this site does now, what it has spent, and what happened last.

    Example: fedpsma site status
    """
    from client.steward.status import status_of, status_table

    found = status_of(_home(state))
    if json:
        typer.echo(found.model_dump_json(indent=1))
        return
    from rich.console import Console

    Console(highlight=False).print(status_table(found))


def pause(
    state: State = STATE,
    now: Annotated[bool, typer.Option("--now", help="End the round that trains now, too; it stays paid.")] = False,
) -> None:
    """Take up no more rounds until fedpsma site resume; the coordinator is told "paused".

    Example: fedpsma site pause --now
    """
    from client.steward.events import SiteLog

    home = _home(state)
    home.request()
    home.pause("now" if now else "after this round")
    SiteLog(home.events_path).append("paused")
    typer.echo("paused" if now else "paused; a round that trains now is finished")


def resume(state: State = STATE) -> None:
    """Take up rounds again.

    Example: fedpsma site resume
    """
    from client.steward.events import SiteLog

    home = _home(state)
    home.request()
    home.resume()
    SiteLog(home.events_path).append("resumed")
    typer.echo("taking part again")


def leave(
    state: State = STATE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Leave the federation: a round that trains now is ended, and nothing of it is taken up any more.

    Keys, policy and ledger stay: what the patients have paid does not come back. What was sent before is in the
    federation's model; ask the coordinator to revoke this site.

    Example: fedpsma site leave
    """
    from client.steward.joining import leave as leave_federation

    home = _home(state)
    federation = home.bundle().federation
    if not yes and not typer.confirm(f"leave {federation}?"):
        raise typer.Abort
    leave_federation(home)
    typer.echo(f"left {federation}")


def _home(state: Path) -> SiteHome:
    from client.steward.home import SiteHome

    return SiteHome(state)


def _require_same(shown: str, heard: str | None) -> None:
    """Ask whether the fingerprint is the one that the coordinator read, or compare it."""
    from fedpsma.errors import InputError

    if heard is None:
        if not typer.confirm("Is this what the coordinator read to you?"):
            raise typer.Abort
    elif heard.replace("-", "").replace(" ", "").upper() != shown.replace("-", ""):
        raise InputError(
            "is not the fingerprint of the bundle", where=heard, remedy="ask the coordinator for the bundle again"
        )


COMMANDS = (init, join, run, carry, service, status, pause, resume, leave)
