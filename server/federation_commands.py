"""``fedpsma federation``: what a coordinator does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from server.federation import commands, run_commands

if TYPE_CHECKING:
    from fedpsma.federated.evaluation import FederatedFigures
    from fedpsma.federated.heterogeneity import FederationStatistics
    from fedpsma.federated.statistics import SiteStatistics

federation = typer.Typer(no_args_is_help=True, help="Look after a federation as its coordinator.")

for _command in (
    commands.init,
    commands.bundle,
    commands.admit,
    commands.revoke,
    commands.sites,
    commands.renew,
    commands.up,
    commands.service,
    run_commands.run,
    run_commands.watch,
    run_commands.stop,
    run_commands.export,
    run_commands.tensorboard,
    run_commands.verify,
):
    federation.command(_command.__name__)(_command)

_DISTANCES_SHOWN = 8


@federation.command("statistics")
def statistics(
    sites: Annotated[
        list[Path],
        typer.Argument(metavar="SITE...", help="What sites told (statistics.json), or data sets on this machine."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("statistics"),
) -> None:
    """Show how unlike the sites are before they train together, without seeing a patient.

    Sites write what they tell with fedpsma site statistics; a data set folder is a simulated site. Writes
    statistics.json and statistics.html.
    """
    from fedpsma.federated.heterogeneity import compare_sites
    from fedpsma.federated.page import render_page
    from fedpsma.io.files import require_folder_or_nothing, write_text

    require_folder_or_nothing(out)
    found = compare_sites([_told(path, out) for path in sites])
    write_text(out / "statistics.json", found.model_dump_json(indent=1) + "\n")
    write_text(out / "statistics.html", render_page(found))
    _show(found, out)


def _told(path: Path, out: Path) -> SiteStatistics:
    from fedpsma.federated.statistics import SiteStatistics
    from fedpsma.io.dataset import parse_record
    from fedpsma.io.files import read_json

    if path.is_dir():
        (told,) = _ask([path], out, "client.answers.statistics:statistics_of", ())
        return cast("SiteStatistics", told)
    return parse_record(SiteStatistics, read_json(path), str(path))


@federation.command("evaluate")
def evaluate(
    sites: Annotated[list[Path], typer.Argument(metavar="DATASET...", help="Data sets on this machine, one a site.")],
    model: Annotated[
        Path | None, typer.Option(help="Checkpoint. Default: the base checkpoint.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write; run again to go on in it.")] = Path("evaluation"),
) -> None:
    """Evaluate a model at every site and show the figures of all patients together, with intervals.

    Each site tells sums over its patients and histograms, nothing of fewer than five. Writes evaluation.json.
    """
    from fedpsma.federated.evaluation import federated_figures, with_ranking
    from fedpsma.federated.ranking import pooled_ranking
    from fedpsma.io.files import require_folder_or_nothing, write_text

    require_folder_or_nothing(out)
    told = _ask(sites, out, "client.answers.evaluation:evaluation_of", (model,))
    pooled = pooled_ranking([one.ranking for one in told if one.ranking is not None])
    spreads = _ask(sites, out, "client.answers.evaluation:ranking_spread_of", (model, pooled))
    found = with_ranking(federated_figures(told), told, [one for one in spreads if one is not None])
    write_text(out / "evaluation.json", found.model_dump_json(indent=1) + "\n")
    _show_figures(found, out)


@federation.command("calibrate")
def calibrate(
    sites: Annotated[list[Path], typer.Argument(metavar="DATASET...", help="Data sets on this machine, one a site.")],
    model: Annotated[Path, typer.Option(help="Checkpoint whose judge is fitted again.")],
    start: Annotated[
        Path | None, typer.Option(help="Judge whose terms are kept. Default: the checkpoint's, else the base model's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the sites' state.")] = Path("calibration"),
) -> None:
    """Fit temperatures and conformal bounds across sites, from histograms of scores.

    Writes MODEL.judge.json. Use patients that the model was not trained on.
    """
    from fedpsma.federated.calibration import fit_across_sites
    from fedpsma.io.dataset import parse_record
    from fedpsma.io.files import read_json, write_text
    from fedpsma.lesions.judge import Judge
    from fedpsma.model.checkpoint import judge_path, load_checkpoint

    begun = start or (judge_path(model) if judge_path(model).is_file() else judge_path())
    terms = parse_record(Judge, read_json(begun), str(begun))
    judge = terms.model_copy(update={"model_sha256": load_checkpoint(model).card.sha256})
    fitted = fit_across_sites(judge, _ask(sites, out, "client.answers.evaluation:scores_of", (model, judge)))
    write_text(judge_path(model), fitted.model_dump_json(indent=1) + "\n")
    for tracer, temperature in fitted.temperature.items():
        typer.echo(f"temperature of {tracer}: {temperature:.2f}")
    typer.echo(f"malignant from {fitted.malignant_from:.3f} on, indeterminate from {fitted.indeterminate_from:.3f} on")
    typer.echo(f"written to {judge_path(model)}")


def _ask(sites: list[Path], out: Path, question: str, about: tuple[object, ...]) -> list[Any]:
    """Let each simulated site answer with a function of the client, under a progress bar."""
    import pkgutil

    from rich.console import Console
    from rich.progress import track

    from fedpsma.io.dataset import read_dataset

    # By its name, because the server must not import the client.
    answer = pkgutil.resolve_name(question)
    datasets = [read_dataset(path) for path in sites]
    shown = track(datasets, description="sites", console=Console(stderr=True), transient=True)
    return [answer(data, out / "sites" / data.info.site, *about) for data in shown]


def _show_figures(found: FederatedFigures, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from fedpsma.evaluation.figures import figure_facts

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("", "all sites", *found.sites):
        table.add_column(name)
    for facts in figure_facts():
        if facts.headline and facts.name in found.together:
            cells = [str(figures.get(facts.name, "-")) for figures in found.sites.values()]
            table.add_row(facts.title, str(found.together[facts.name]), *cells)
    console.print(table)
    console.print("in brackets: 95 % interval over patients; - withheld, or not known of one site alone", markup=False)
    console.print(f"written to {out / 'evaluation.json'}", markup=False)


def _show(found: FederationStatistics, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("site", "patients", "tracers", "outlines"):
        table.add_column(name)
    for one in found.sites:
        tracers = ", ".join(f"{name} {count}" for name, count in one.counts["tracer"].items()) or "withheld"
        table.add_row(one.site, str(one.patients or "fewer than 5"), tracers, one.contour)
    console.print(table)
    for far in found.distances[:_DISTANCES_SHOWN]:
        told = f"{far.site} differs by {far.distance:.2f} in {far.histogram}, where it is mostly {far.commonest}"
        console.print(told, markup=False)
    for note in found.notes:
        console.print(Text(note, style="yellow"))
    console.print(f"written to {out / 'statistics.html'} and statistics.json", markup=False)
