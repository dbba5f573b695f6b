"""``fedpsma federation init|admit|revoke|sites|bundle|renew|up|service``: a coordinator sets a federation up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from server.federation.home import FederationHome

HOME = Path("coordinator")
Folder = Annotated[Path, typer.Option(help="Folder of the federation.", envvar="FEDPSMA_FEDERATION")]
_PORT = "9443"


def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the federation; sites see it.")],
    address: Annotated[
        str, typer.Option(help="Host, or host:port, that sites connect to; the port is 9443 if left out.")
    ] = "localhost",
    names: Annotated[
        list[str] | None, typer.Option("--name", help="Another host name or address of the certificate.")
    ] = None,
    listen: Annotated[str | None, typer.Option(help="Where to listen. Default: all addresses, same port.")] = None,
    folder: Folder = HOME,
) -> None:
    """Make a federation: its authority and certificates, the key that signs orders, and what sites need to join.

    Keys stay in FOLDER/keys, readable by you alone. Give sites the bundle, and read its fingerprint to them.

    Example: fedpsma federation init prostate --address federation.example.org
    """
    from pydantic import ValidationError

    from fedpsma.errors import InputError, first_problem
    from server.federation.home import FederationConfig, FederationHome

    whole = address if address.rpartition("]")[2].count(":") or address.count(":") == 1 else f"{address}:{_PORT}"
    host, _, port = whole.rpartition(":")
    try:
        config = FederationConfig(
            name=name,
            address=whole,
            names=tuple(dict.fromkeys([host.strip("[]"), *(names or [])])),
            listen=listen or f"0.0.0.0:{port}",
        )
    except ValidationError as error:
        field, what = first_problem(error)
        raise InputError(what, where=field, remedy="give another") from error
    home = FederationHome(folder)
    home.make(config)
    typer.echo(f"federation {name} in {folder}")
    _write_bundle(home, folder / f"{_file_name(name)}.json")
    typer.echo("next: fedpsma federation admit REQUEST, then: fedpsma federation up")


def bundle(
    out: Annotated[Path | None, typer.Option(help="File to write. Default: FOLDER/NAME.json.")] = None,
    folder: Folder = HOME,
) -> None:
    """Write what a site needs to join; no secret is in it.

    Example: fedpsma federation bundle --out prostate.json
    """
    from server.federation.home import FederationHome

    home = FederationHome(folder)
    _write_bundle(home, out or folder / f"{_file_name(home.config().name)}.json")


def admit(
    request: Annotated[Path, typer.Argument(metavar="REQUEST", help="File that the site's fedpsma site init wrote.")],
    fingerprint: Annotated[
        str | None, typer.Option(help="What the site read aloud, to be compared without a question.")
    ] = None,
    folder: Folder = HOME,
) -> None:
    """Let a site take part; a federation that is up lets it in within seconds.

    Let somebody at the site whom you know read the fingerprint aloud before you agree.

    Example: fedpsma federation admit north.json
    """
    from fedpsma.joining.records import SiteRequest
    from server.federation.admission import admit as admit_site
    from server.federation.home import FederationHome

    home = FederationHome(folder)
    home.config()
    found = SiteRequest.read(request).checked(str(request))
    typer.echo(f"site {found.site}, fingerprint {found.fingerprint}")
    _require_agreed(found.fingerprint, fingerprint)
    admit_site(home, found)
    typer.echo(f"admitted {found.site}")


def revoke(
    site: Annotated[str, typer.Argument(metavar="SITE", help="Name of the site.")],
    folder: Folder = HOME,
) -> None:
    """Let a site take part no more; its keys are never accepted again.

    Example: fedpsma federation revoke north
    """
    from server.federation.admission import revoke as revoke_site
    from server.federation.home import FederationHome

    home = FederationHome(folder)
    home.config()
    revoke_site(home, site)
    typer.echo(f"revoked {site}; a federation that is up shuts it out within seconds")


def sites(folder: Folder = HOME) -> None:
    """List the sites with their fingerprints, and whose clock differs from yours.

    Example: fedpsma federation sites
    """
    from rich.console import Console
    from rich.table import Table

    from server.federation.admission import admitted_sites
    from server.federation.clocks import clock_in_words, clocks_apart
    from server.federation.home import FederationHome

    home = FederationHome(folder)
    home.config()
    table = Table(box=None, pad_edge=False)
    for title in ("site", "since", "fingerprint", ""):
        table.add_column(title, overflow="fold")
    for one in admitted_sites(home):
        out = "" if one.revoked is None else f"revoked {one.revoked:%Y-%m-%d}"
        table.add_row(one.name, f"{one.admitted:%Y-%m-%d}", one.request.fingerprint, out)
    Console(highlight=False).print(table if table.rows else "no site yet; let one in with: fedpsma federation admit")
    for name, ahead_s in clocks_apart(home).items():
        typer.echo(f"{name}: {clock_in_words(ahead_s)}")


def renew(
    authority: Annotated[
        bool, typer.Option("--authority", help="Renew the authority as well; the sites need a new bundle then.")
    ] = False,
    folder: Folder = HOME,
) -> None:
    """Make the server's certificates anew; a federation that is up shows them within seconds, and sites notice nothing.

    In its last 14 days the authority is renewed with them, under its old key. Then hand the new bundle out and let each
    site join with it: what a site has, admission included, stays.

    Example: fedpsma federation renew
    """
    from server.federation.home import FederationHome

    home = FederationHome(folder)
    is_new = home.renew(authority=authority)
    for expiry in home.expiries():
        typer.echo(str(expiry))
    if is_new:
        _write_bundle(home, folder / f"{_file_name(home.config().name)}.json")
        typer.echo("each site joins with it before the old one ends: fedpsma site join BUNDLE")


def up(folder: Folder = HOME) -> None:
    """Open the front door and keep the SuperLink behind it running. Ends with Ctrl-C or SIGTERM.

    Runs that were cut off go on by themselves after their last finished round.

    Example: fedpsma federation up
    """
    from server.federation.home import FederationHome
    from server.federation.supervisor import keep_up

    keep_up(FederationHome(folder), typer.echo)


def service(
    kind: Annotated[str, typer.Argument(metavar="systemd|compose", help="What to write.")],
    folder: Folder = HOME,
) -> None:
    """Print what starts the federation with the machine: a systemd unit, or a compose file.

    Example: fedpsma federation service systemd > ~/.config/systemd/user/fedpsma.service
    """
    from server.federation.home import FederationHome
    from server.federation.service import service_text

    typer.echo(service_text(kind, FederationHome(folder)), nl=False)


def _write_bundle(home: FederationHome, path: Path) -> None:
    made = home.bundle()
    made.write(path)
    typer.echo(f"bundle for the sites: {path}")
    typer.echo(f"its fingerprint, to read aloud: {made.fingerprint}")


def _require_agreed(found: str, told: str | None) -> None:
    from fedpsma.errors import InputError

    if told is None and not typer.confirm("Is this what the site reads aloud?"):
        raise InputError("was not agreed to", where="fingerprint", remedy="ask the site for its request again")
    if told is not None and told.strip().upper() != found:
        raise InputError("is another one", where="--fingerprint", remedy="ask the site for its request again")


def _file_name(name: str) -> str:
    return "-".join(name.lower().split())
