"""``fedpsma site evaluate`` and ``site scores``: what a site tells of a shared model, to be read before it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from client.commands.answering import write_answer

Data = Annotated[
    Path, typer.Argument(metavar="DATASET", help="Data set with lesion masks; patients the model has not seen.")
]
State = Annotated[Path, typer.Option(help="Folder of the site's own state: policy, ledger, what was told.")]


def evaluate(
    dataset: Data,
    state: State,
    model: Annotated[
        Path | None, typer.Option(help="Checkpoint. Default: the base checkpoint.", show_default=False)
    ] = None,
    ranking: Annotated[
        Path | None, typer.Option(help="ranking.json of the coordinator: answer the second exchange.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; figures.json, or spread.json with --ranking.", show_default=False),
    ] = None,
) -> None:
    """Write what the coordinator may know of a model on your patients: sums of at least five patients.

    Nothing is sent. The coordinator adds up the files of all sites; for intervals he sends back ranking.json, and the
    same command with --ranking writes the second answer. Answers are remembered like those of site statistics.

    Example: fedpsma site evaluate data/ours --state site --model model.safetensors
    """
    from client.answers.evaluation import evaluation_of, ranking_spread_of
    from fedpsma.federated.exchange import RankingAsked
    from fedpsma.io.dataset import parse_record
    from fedpsma.io.files import read_json

    if ranking is None:
        path = out or Path("figures.json")
        write_answer(dataset, state, path, lambda data, step: evaluation_of(data, state, model, step))
        return
    asked = parse_record(RankingAsked, read_json(ranking), str(ranking))
    path = out or Path("spread.json")
    write_answer(dataset, state, path, lambda data, step: ranking_spread_of(data, state, model, asked, step))


def scores(
    dataset: Data,
    state: State,
    model: Annotated[Path, typer.Option(help="Checkpoint whose judge is to be fitted again.")],
    judge: Annotated[
        Path | None, typer.Option(help="Judge to start from. Default: the checkpoint's, else the base model's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("scores.json"),
) -> None:
    """Write histograms of the judge's scores, each part of at least five patients, so that it can be fitted anew.

    Nothing is sent. The coordinator fits temperatures and bounds to the files of all sites.

    Example: fedpsma site scores data/ours --state site --model model.safetensors
    """
    from client.answers.evaluation import scores_of
    from fedpsma.training.calibration import starting_judge

    begun = starting_judge(model, judge)
    write_answer(dataset, state, out, lambda data, step: scores_of(data, state, model, begun, step))
