"""``fedpsma report corpus, train, evaluate``: how the wording model is made, and how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reporting.options import ReportLanguage, Style

if TYPE_CHECKING:
    from reporting.evaluation.table import Table
    from reporting.llm.evaluate import Quality
    from reporting.wording.phrasing import Phrasing

_HELD_OUT_SEED = 7


def corpus(
    out: Annotated[Path, typer.Option("--out", help="Folder for train.jsonl, test.jsonl and card.json.")],
    pairs: Annotated[int, typer.Option(min=10, max=200_000, help="Pairs to train on; a tenth as many to test.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="Decides exams, codes and wordings.")] = 1,
    language: Annotated[ReportLanguage, typer.Option(help="Language of the sentences.")] = ReportLanguage.ENGLISH,
    style: Annotated[Style, typer.Option(help="Style of the sentences.")] = Style.PROSE,
    phrasing: Annotated[Path | None, typer.Option(help="A site's own phrasing file instead of a style.")] = None,
    site: Annotated[str | None, typer.Option(help="Make the pairs of this site of a federation, by patient.")] = None,
) -> None:
    """Make synthetic pairs of codes and sentence templates to tune a model on.

    The codes are those of synthetic exams under the rules and, so that rare ones are seen, of all combinations that can
    occur. No combination of codes is in both files. No patient has any part in it. With --site all pairs are those of
    synthetic exams, each a patient of its own; give every site another seed.

    Example: fedpsma report corpus --out corpus --pairs 10000
    """
    from fedpsma.joining.names import require_site_name
    from reporting.llm.corpus import write_corpus

    if site is not None:
        require_site_name(site)
    words = _words(language, style, phrasing)
    written = write_corpus(out, pairs, seed, words, site)
    typer.echo(f"{written['train']} pairs to train on, {written['test']} of other combinations to test")
    typer.echo(f"written to {out}")


def train(
    out: Annotated[Path, typer.Option("--out", help="Folder for the adapter and its card.")],
    pairs: Annotated[Path | None, typer.Option("--corpus", help="A folder of `report corpus`.")] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of another causal language model.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps instead of those of the recipe.")] = None,
    test_sentences: Annotated[int, typer.Option(min=1, help="Sentences to judge it on afterwards.")] = 200,
) -> None:
    """Tune an adapter on sentence templates and write it with its card; a GPU is used where there is one.

    The loss is that of the sentence alone. Run the same command again after a stop: it goes on where it was. About 20
    minutes on one idle core with the recipe and the embedded model.

    Example: fedpsma report train --out adapter --corpus corpus, then: fedpsma report draft exam.json --writer adapter
    """
    from dataclasses import replace

    from rich.progress import Progress

    from reporting.llm.store import require_model, require_packages

    require_packages()
    from reporting.llm.card import Made, write_card
    from reporting.llm.lora import TuningPlan
    from reporting.llm.lora import tune as tune_adapter

    base = model or require_model()
    plan = TuningPlan() if steps is None else replace(TuningPlan(), steps=steps)
    with Progress() as bar:
        task = bar.add_task("tuning", total=plan.steps)
        tuned = tune_adapter(
            base,
            out,
            plan,
            lambda done, total, loss: bar.update(task, completed=done, description=f"tuning, loss {loss:.2f}"),
            corpus=pairs,
        )
        bar.add_task("judging", total=None)
        quality = _held_out_quality(base, out, pairs, test_sentences)
    write_card(out, Made(base, pairs, plan, tuned.losses), quality)
    for name, counted in quality.items():
        typer.echo(f"{name}: {counted.usable} of {counted.sentences} held-out sentences usable")


def evaluate(
    out: Annotated[Path, typer.Option("--out", help="Folder for evaluation.json and what the models said.")],
    exams: Annotated[int, typer.Option(min=2, help="Synthetic exams that the model words.")] = 50,
    template_exams: Annotated[int, typer.Option(min=2, help="Synthetic exams for the templates alone.")] = 1000,
    free_exams: Annotated[int, typer.Option(min=2, help="Synthetic exams for the model without a grammar.")] = 10,
    adapter: Annotated[Path | None, typer.Option(help="Folder of another adapter.")] = None,
    language: Annotated[ReportLanguage, typer.Option(help="Language of the drafts.")] = ReportLanguage.ENGLISH,
) -> None:
    """Count what is right in drafts of synthetic exams, before and after the gate, and print the table.

    Run the same command again after a stop: what a model has said is kept and not asked again. All of it is synthetic,
    and no clinician has judged any of these sentences.

    Example: fedpsma report evaluate --out evaluation --exams 200
    """
    from rich.console import Console
    from rich.progress import Progress

    from reporting.evaluation.table import EvaluationPlan, evaluate_model, write_table

    plan = EvaluationPlan(exams, template_exams, free_exams, adapter, language.value)
    with Progress(transient=True) as bar:
        task = bar.add_task("starting", total=None)
        table = evaluate_model(
            out, plan, lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
        )
    write_table(out, table)
    _print(table, Console())
    typer.echo(f"written to {out}")


def _held_out_quality(base: Path, adapter: Path, pairs: Path | None, sentences: int) -> dict[str, Quality]:
    from reporting.llm.corpus import draw_examples, read_corpus
    from reporting.llm.evaluate import measure
    from reporting.llm.writer import LanguageModelWriter, WriterConfig

    examples = read_corpus(pairs, "test") if pairs else draw_examples(sentences, _HELD_OUT_SEED, held_out=True)
    free = WriterConfig(constrained=False, checked=False)
    ruled = WriterConfig(checked=False)
    return {
        "without grammar": measure(LanguageModelWriter.load(base, adapter, config=free), examples[:sentences]),
        "with grammar": measure(LanguageModelWriter.load(base, adapter, config=ruled), examples[:sentences]),
    }


def _words(language: ReportLanguage, style_name: Style, phrasing: Path | None) -> Phrasing:
    from reporting.wording.phrasing import read_phrasing, style

    if phrasing is not None:
        return read_phrasing(phrasing, language.value)
    return style(style_name.value, language.value)


def _print(table: Table, console: object) -> None:
    from rich.console import Console
    from rich.table import Table as Grid

    assert isinstance(console, Console)
    for part in table.parts():
        grid = Grid(title="synthetic exams; share right, 95 % interval by draft")
        for name in ("", *part.columns):
            grid.add_column(name, overflow="fold")
        for row in part.rows():
            grid.add_row(*row)
        console.print(grid)
    for line in table.remarks:
        console.print(line)
