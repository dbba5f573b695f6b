"""``fedpsma audit``: how much of its patients a training gives away, tried out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedpsma.audit.report import AuditReport, ModelAudit
    from fedpsma.audit.run import AuditConfig


def audit(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Data set with lesion masks.")],
    out: Annotated[Path, typer.Option(help="Folder to write; run again to go on in it.")] = Path("audit"),
    epsilon: Annotated[
        str | None, typer.Option(help="Privacy loss over all rounds (8; 50 at most), or none: plain models only.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of training. Default: 3.")] = None,
    init: Annotated[
        Path | None, typer.Option(help="Checkpoint to start from. Default: the base checkpoint.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same audit.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other setting, may be repeated: targets (models to attack, 4), shadows (models that show what "
            "members look like, 16), canaries (made-up patients, 24), or of the plan, like steps_per_round, delta, "
            "scope, learning_rate.",
        ),
    ] = None,
) -> None:
    """Attack models trained with and without privacy, and compare what is proved with what is claimed.

    Trains each model on half of the patients, drawn by coin; tells members from others by loss and by likelihood ratio
    (LiRA); bounds epsilon from below by guesses about canaries, and by the noisy steps alone. Writes audit.json; the
    models' outcomes are kept in OUT, so that a stopped audit goes on. Exit code 1 means that the claim is contradicted.

    Example: fedpsma audit data/ours --epsilon 8 --out audit --set targets=8 --set shadows=32
    """
    from fedpsma.audit.run import AuditConfig
    from fedpsma.io.files import require_folder_or_nothing
    from fedpsma.settings import read_settings

    require_folder_or_nothing(out)
    options = {
        "dataset": dataset,
        "out": out,
        "plan.target_epsilon": epsilon,
        "plan.rounds": rounds,
        "init": init,
        "seed": seed,
    }
    report = _run(read_settings(AuditConfig, None, options, settings or []))
    _show(report, out)
    if report.contradicted:
        raise typer.Exit(1)


def _run(config: AuditConfig) -> AuditReport:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fedpsma.audit.run import audit as run

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("training models to attack", total=config.models)
        return run(config, lambda: progress.advance(task))


def _show(report: AuditReport, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    kind = "synthetic patients" if report.synthetic else "patients"
    counts = f"{report.patients} {kind} and {report.canaries} canaries, {report.targets} models attacked with"
    console.print(f"{counts} {report.shadows} shadows of each kind", markup=False)
    table = Table(box=None, pad_edge=False)
    for name in ("", *(one.protection for one in report.models)):
        table.add_column(name)
    for title, cells in _rows(report.models):
        table.add_row(title, *cells)
    console.print(table)
    if report.mechanism is not None:
        proved = f"{report.mechanism.epsilon:.2f} proved of {report.mechanism.claimed_epsilon:.2f} claimed"
        console.print(f"the noisy steps alone: epsilon {proved}", markup=False)
    verdict = "the claim is CONTRADICTED" if report.contradicted else "nothing contradicts the claim"
    console.print(f"{verdict}; bounds hold at {report.confidence:.0%}, delta {report.plan.delta:g}. {report.caution}")
    console.print(f"written to {out / 'audit.json'}", markup=False)


def _rows(models: tuple[ModelAudit, ...]) -> list[tuple[str, list[str]]]:
    return [
        ("claimed epsilon", [_number(one.claimed_epsilon) for one in models]),
        ("epsilon proved, canaries of one run", [f"{one.one_run.epsilon:.2f}" for one in models]),
        ("epsilon proved, all runs", [f"{one.all_runs.epsilon:.2f}" for one in models]),
        ("AUC of the loss", [str(one.loss.auc) for one in models]),
        ("AUC of the likelihood ratio", [str(one.likelihood_ratio.auc) for one in models]),
        ("most that the claim allows", [_number(one.auc_limit) for one in models]),
        ("advantage of the likelihood ratio", [f"{one.likelihood_ratio.advantage:.2f}" for one in models]),
        ("most that the claim allows", [_number(one.advantage_limit) for one in models]),
    ]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
