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
    """See the whole chain on synthetic patients: three sites, private training, one patient read and reported.

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
) -> None:
    """Open the page where a reader looks at a study, corrects the draft and keeps the result.

    The page is served on this machine only (127.0.0.1) and calls no other host.
    Research use only, not for clinical use.
    """
    from demo.server import serve

    serve(folder, port)
