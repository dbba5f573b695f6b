"""``fedpsma federation``: what a coordinator does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedpsma.federated.heterogeneity import FederationStatistics
    from fedpsma.federated.statistics import SiteStatistics

federation = typer.Typer(no_args_is_help=True, help="Look after a federation as its coordinator.")

_DISTANCES_SHOWN = 8


@federation.callback()
def _group() -> None:
    """Keep the group a group while it has one command."""


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
    from rich.console import Console
    from rich.progress import track

    from fedpsma.federated.heterogeneity import compare_sites
    from fedpsma.federated.page import render_page
    from fedpsma.io.files import require_folder_or_nothing, write_text

    require_folder_or_nothing(out)
    shown = track(sites, description="sites", console=Console(stderr=True), transient=True)
    found = compare_sites([_told(path, out) for path in shown])
    write_text(out / "statistics.json", found.model_dump_json(indent=1) + "\n")
    write_text(out / "statistics.html", render_page(found))
    _show(found, out)


def _told(path: Path, out: Path) -> SiteStatistics:
    import pkgutil

    from fedpsma.federated.statistics import SiteStatistics
    from fedpsma.io.dataset import parse_record, read_dataset
    from fedpsma.io.files import read_json

    if not path.is_dir():
        return parse_record(SiteStatistics, read_json(path), str(path))
    data = read_dataset(path)
    # By its name, because the server must not import the client.
    told: SiteStatistics = pkgutil.resolve_name("client.statistics:statistics_of")(data, out / "sites" / data.info.site)
    return told


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
