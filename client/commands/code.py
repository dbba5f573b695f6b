"""``fedpsma site code``: which application code may run here, and what has changed in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from client.commands.membership import STATE, State

if TYPE_CHECKING:
    from client.steward.code import CodeBook
    from client.steward.events import SiteLog


def code(
    beginning: Annotated[
        str | None, typer.Argument(metavar="[BUNDLE]", help="Beginning of its SHA-256; all are listed if left out.")
    ] = None,
    state: State = STATE,
    approve: Annotated[bool, typer.Option("--approve", help="Let it run from now on, after a look at it.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Let it run no more.")] = False,
) -> None:
    """Show which application code came and whether it may run; with BUNDLE how it differs from what ran before.

    Code that nobody approved is kept but not run, and the coordinator is told "code_not_approved". The code that trains
    is never sent: it is what you installed.

    Example: fedpsma site code 3fa1 --approve
    """
    from client.steward.code import CodeBook
    from client.steward.events import SiteLog
    from client.steward.home import SiteHome

    home = SiteHome(state)
    home.request()
    book, log = CodeBook(home.code_path), SiteLog(home.events_path)
    if beginning is None:
        _list(book)
        return
    sha256 = book.find(beginning)
    if reject:
        book.reject(sha256)
        log.append("code_rejected", sha256=sha256)
        typer.echo(f"{sha256} does not run here")
        return
    _show(book, sha256)
    if approve:
        _approve(book, log, sha256)


def _list(book: CodeBook) -> None:
    for sha256, when in book.approved().items():
        typer.echo(f"{sha256}  approved {when:%Y-%m-%d %H:%M} UTC")
    for sha256 in book.waiting():
        typer.echo(f"{sha256}  waits for your yes")
    if not book.approved() and not book.waiting():
        typer.echo("no application code came yet, and none is approved")


def _show(book: CodeBook, sha256: str) -> None:
    from client.steward.code import installed_files

    files = book.files(sha256)
    if not files:
        typer.echo(f"{sha256} has not come yet")
        return
    difference = book.difference(sha256, installed_files(files))
    # The text is a stranger's: what could move the cursor or hide a line is shown as a code.
    shown = "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in difference)
    typer.echo(shown or "no difference to what ran before")


def _approve(book: CodeBook, log: SiteLog, sha256: str) -> None:
    if not typer.confirm(f"let {sha256} run here?"):
        raise typer.Abort
    book.approve(sha256)
    log.append("code_approved", sha256=sha256)
    typer.echo("approved")
