"""``fedpsma phantom``: make a data set of synthetic patients, or measure how real they look."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from fedpsma.phantom.providers import AnatomyProvider

_PARAMETRIC = "parametric"
_MAKE, _MEASURE = "12", "50"
_LARGEST_INDEX = 999_999
# Characters a line where the table goes to no terminal.
_WIDTH_OF_A_FILE = 200


_Out = Annotated[
    Path | None,
    typer.Argument(
        help="Data set folder to write; an unfinished one is continued. With --realism, if given, a folder with "
        "rows of real patients to compare with."
    ),
]
_Site = Annotated[
    str,
    typer.Option(
        "--site",
        help="Synthetic site: A mCT-like, mostly PSMA-1007; B GE-690-like, recurrence; C TruePoint-like, "
        "castration-resistant; D digital long field, DCFPyL and rhPSMA; E Discovery-ST-like, FDG, no CT.",
    ),
]
_Patients = Annotated[
    str | None,
    typer.Option(
        "--patients",
        help=f"How many, or which, as 1000-1011: held-out patients take other numbers. {_MAKE} without it; with "
        f"--realism how many of each tracer, {_MEASURE} without it.",
    ),
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same patients.")]
_Spacing = Annotated[
    float | None,
    typer.Option("--spacing", help="Edge of the cubic PET voxels in mm; the site's own grid without it."),
]
_FollowUp = Annotated[
    int, typer.Option("--follow-up", min=0, max=9, help="Later scans of each patient, weeks or months apart.")
]
_Anatomy = Annotated[
    str,
    typer.Option("--anatomy", help="Where the bodies come from: parametric, or a folder of organ label maps."),
]
_Realism = Annotated[
    bool, typer.Option("--realism", help="Make no data set; measure patients of all sites against real ones.")
]


def phantom(
    out: _Out = None,
    site: _Site = "A",
    patients: _Patients = None,
    seed: _Seed = 1,
    spacing: _Spacing = None,
    follow_up: _FollowUp = 0,
    anatomy: _Anatomy = _PARAMETRIC,
    realism: _Realism = False,
) -> None:
    """Make synthetic whole-body PSMA-PET/CT patients with lesion masks, anatomy, reports and the truth of every focus.

    Patient k of a site depends on site, seed and k only, not on how many are made. Not a real person's data; clinical
    fields, courses and reports are plausible at best: no clinician has checked them.

    Example: fedpsma phantom data/site_a --site A --patients 12 --seed 1 --spacing 4 --follow-up 1
    """
    if realism:
        _measure(out, patients or _MEASURE, seed)
        return
    from fedpsma.errors import InputError
    from fedpsma.phantom.cohort import write_cohort
    from fedpsma.phantom.patient import PhantomOptions
    from fedpsma.phantom.sites import site_profile

    if out is None:
        raise InputError("is missing", where="OUT", remedy="name the folder to write, or ask for --realism")
    indices, name = _indices(patients or _MAKE), site_profile(site).name
    options = PhantomOptions(spacing_mm=spacing, anatomy=_provider(anatomy))
    with _progress() as bar:
        task = bar.add_task(name, total=len(indices))
        data = write_cohort(
            out, site, indices, seed, lambda _: bar.advance(task), options=options, follow_ups=follow_up
        )
    typer.echo(
        f"{out}: {len(data.patients)} synthetic patients, {len(data.rows)} studies, contours by {data.info.contour}, "
        f"truth and reports in {out / 'truth'}"
    )


def _measure(reference: Path | None, patients: str, seed: int) -> None:
    from rich.console import Console

    from fedpsma.phantom.realism import RealismOptions, measure_realism, realism_table

    options = RealismOptions(patients=len(_indices(patients)), seed=seed, reference=reference)
    with _progress() as bar:
        task = bar.add_task("synthetic patients", total=options.total_patients)
        report = measure_realism(options, lambda: bar.advance(task))
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    console.print(realism_table(report))


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _provider(anatomy: str) -> AnatomyProvider:
    from fedpsma.phantom.providers import PARAMETRIC

    if anatomy == _PARAMETRIC:
        return PARAMETRIC
    from fedpsma.phantom.labelmap import LabelMap

    return LabelMap.read(Path(anatomy))


def _indices(patients: str) -> range:
    """Return the indices that a count or a range stands for."""
    from fedpsma.errors import InputError

    first, dash, last = patients.partition("-")
    numbers = [first, last] if dash else [first]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise InputError(f"{patients!r} is no count and no range", where="--patients", remedy="give 12 or 1000-1011")
    chosen = range(int(first), int(last) + 1) if dash else range(int(first))
    if not chosen or chosen[-1] > _LARGEST_INDEX:
        raise InputError(
            f"{patients!r} is empty or goes beyond {_LARGEST_INDEX}", where="--patients", remedy="give 12 or 1000-1011"
        )
    return chosen
