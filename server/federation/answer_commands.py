"""``fedpsma federation statistics|evaluate|calibrate``: what sites tell beside weights, put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fedpsma.federated.evaluation import FederatedFigures
    from fedpsma.federated.heterogeneity import FederationStatistics

Sites = Annotated[
    list[Path],
    typer.Argument(metavar="SITE...", help="What sites told (a JSON file each), or data sets on this machine."),
]
Told = TypeVar("Told", bound="BaseModel")
_DISTANCES_SHOWN = 8


def statistics(sites: Sites, out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("statistics")) -> None:
    """Show how unlike the sites are before they train together, without seeing a patient.

    Sites write what they tell with fedpsma site statistics; a data set folder is a simulated site. Writes
    statistics.json and statistics.html.

    Example: fedpsma federation statistics site1.json site2.json --out statistics
    """
    from fedpsma.federated.heterogeneity import compare_sites
    from fedpsma.federated.page import render_page
    from fedpsma.federated.statistics import SiteStatistics
    from fedpsma.io.files import require_folder_or_nothing, write_text

    require_folder_or_nothing(out)
    found = compare_sites(_told(SiteStatistics, sites, out, "client.answers.statistics:statistics_of"))
    write_text(out / "statistics.json", found.model_dump_json(indent=1) + "\n")
    write_text(out / "statistics.html", render_page(found))
    _show(found, out)


def evaluate(
    sites: Sites,
    spread: Annotated[
        list[Path] | None, typer.Option(help="What a site told to ranking.json; once for each site.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Checkpoint, for data sets here. Default: the base checkpoint.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write; run again to go on in it.")] = Path("evaluation"),
) -> None:
    """Show the figures of a model on the patients of all sites together, with intervals.

    Sites write sums over their patients, nothing of fewer than five, with fedpsma site evaluate. Average precision gets
    its interval from a second exchange: send ranking.json back, and give what the sites tell then with --spread. Data
    sets on this machine answer both at once. Writes evaluation.json and ranking.json.

    Example: fedpsma federation evaluate figures1.json figures2.json --spread spread1.json --spread spread2.json
    """
    from fedpsma.federated.evaluation import SiteEvaluation, federated_figures, with_ranking
    from fedpsma.federated.exchange import RankingAsked, SpreadTold, influences
    from fedpsma.io.files import require_folder_or_nothing, write_text

    require_folder_or_nothing(out)
    told = _told(SiteEvaluation, sites, out, "client.answers.evaluation:evaluation_of", model)
    asked = RankingAsked.of(told)
    here = [path for path in sites if path.is_dir()] if asked else []
    question = "client.answers.evaluation:ranking_spread_of"
    second = _told(SpreadTold, [*here, *(spread or [])], out, question, model, asked)
    found = with_ranking(federated_figures(told), told, influences(asked, second))
    write_text(out / "evaluation.json", found.model_dump_json(indent=1) + "\n")
    if asked is not None:
        write_text(out / "ranking.json", asked.model_dump_json() + "\n")
    _show_figures(found, out)
    if asked is not None and len(second) < len(sites):
        typer.echo(f"for intervals of the first figures send {out / 'ranking.json'} to the sites", err=True)


def calibrate(
    sites: Sites,
    model: Annotated[Path, typer.Option(help="Checkpoint whose judge is fitted again.")],
    start: Annotated[
        Path | None, typer.Option(help="Judge whose terms are kept. Default: the checkpoint's, else the base model's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the state of sites on this machine.")] = Path("calibration"),
) -> None:
    """Fit temperatures and conformal bounds across sites, from histograms of scores.

    Sites write them with fedpsma site scores, on patients that the model was not trained on. Writes MODEL.judge.json.

    Example: fedpsma federation calibrate scores1.json scores2.json --model model.safetensors
    """
    from fedpsma.federated.calibration import SiteScores, fit_across_sites
    from fedpsma.io.files import write_text
    from fedpsma.model.checkpoint import judge_path
    from fedpsma.training.calibration import starting_judge

    judge = starting_judge(model, start)
    fitted = fit_across_sites(judge, _told(SiteScores, sites, out, "client.answers.evaluation:scores_of", model, judge))
    write_text(judge_path(model), fitted.model_dump_json(indent=1) + "\n")
    for tracer, temperature in fitted.temperature.items():
        typer.echo(f"temperature of {tracer}: {temperature:.2f}")
    typer.echo(f"malignant from {fitted.malignant_from:.3f} on, indeterminate from {fitted.indeterminate_from:.3f} on")
    typer.echo(f"written to {judge_path(model)}")


def _told(kind: type[Told], sites: Sequence[Path], out: Path, question: str, *about: object) -> list[Told]:
    """Return what each site tells: from its file, or from its data set by a function of the client."""
    from rich.console import Console
    from rich.progress import track

    shown = track(sites, description="sites", console=Console(stderr=True), transient=True)
    return [_asked(path, out, question, about) if path.is_dir() else _read(kind, path) for path in shown]


def _read(kind: type[Told], path: Path) -> Told:
    from fedpsma.io.dataset import parse_record
    from fedpsma.io.files import read_json

    return parse_record(kind, read_json(path), str(path))


def _asked(path: Path, out: Path, question: str, about: Sequence[object]) -> Any:
    """Let a simulated site answer; by the function's name, because the server must not import the client."""
    import pkgutil

    from fedpsma.io.dataset import read_dataset

    data = read_dataset(path)
    return pkgutil.resolve_name(question)(data, out / "sites" / data.info.site, *about)


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
