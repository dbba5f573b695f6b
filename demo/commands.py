"""The commands ``fedpsma quickstart`` and ``fedpsma demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made; go on in it by running again.")] = Path(
        "quickstart"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same patients and same tables.")] = 1,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="Do every step with very few patients, to see that it works.")
    ] = False,
) -> None:
    """See the whole chain on synthetic patients: sites train privately, one patient is read and reported.

    Takes a few minutes on a laptop without a GPU and needs no network. The result is a folder with an index.html.
    Stopped and started again, it goes on from the finished steps.
    """
    from demo.quickstart.config import QuickstartConfig
    from demo.quickstart.run import run_quickstart

    run_quickstart(out, QuickstartConfig.tiny(seed) if tiny else QuickstartConfig.standard(seed))


def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="A quickstart folder, or any folder with analysed studies (exam.json). Default: built-in examples."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 7860,
    user: Annotated[str | None, typer.Option(help="Ask for this name and a password before anything is shown.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File (mode 600) with the password of --user; asked for where none is given.")
    ] = None,
    dicom: Annotated[
        Path | None, typer.Option(help="Folder with the PET series in DICOM: SEG and SR copy their headers from it.")
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Folder with the runs of a federation. Default: those in FOLDER.")
    ] = None,
) -> None:
    """Open the reading room: see a study, correct lesions and report, sign, and export.

    The page is served on this machine only (127.0.0.1) and calls no other host. Research use only, not for clinical
    use. docs/reading-room.md is for the physician who reads with it.

    Example: fedpsma demo patient1 --user anna
    """
    from demo.security import Account, read_password
    from demo.server import Served, serve
    from fedpsma.errors import InputError

    if user is None and password_file is not None:
        raise InputError("needs a name", where="--password-file", remedy="give --user too")
    account = None
    if user is not None:
        given = read_password(password_file) if password_file else typer.prompt("Password", hide_input=True)
        account = Account.of(user, given)
    served = Served(folder, account, dicom, runs)
    serve(served, port, lambda address: typer.echo(f"Reading room: {address} (stop with Ctrl+C)"))
