"""``fedpsma phantom``: make a data set of synthetic patients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def phantom(
    out: Annotated[Path, typer.Option("--out", help="Data set folder to write; an unfinished one is continued.")],
    site: Annotated[
        str,
        typer.Option(
            "--site",
            help="Synthetic site: A mCT-like, mostly PSMA-1007; B GE-690-like, recurrence; C TruePoint-like, "
            "castration-resistant; D digital long field, DCFPyL and rhPSMA; E Discovery-ST-like, FDG, no CT.",
        ),
    ] = "A",
    patients: Annotated[int, typer.Option("--patients", min=1, max=10_000, help="How many patients.")] = 12,
    first: Annotated[
        int,
        typer.Option("--first", min=0, help="Index of the first patient; held-out patients take other indices."),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same patients.")] = 1,
) -> None:
    """Make synthetic whole-body PSMA-PET/CT patients with lesion masks, anatomy and the truth of every focus.

    Patient k of a site depends on site, seed and k only, not on how many are made. Not a real person's data.

    Example: fedpsma phantom --site A --patients 12 --seed 1 --out data/site_a
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from fedpsma.phantom.cohort import write_cohort
    from fedpsma.phantom.sites import site_profile

    name = site_profile(site).name
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(name, total=patients)
        indices = range(first, first + patients)
        data = write_cohort(out, site, indices, seed, on_patient=lambda _: progress.advance(task))
    typer.echo(f"{out}: {len(data.rows)} synthetic patients, contours by {data.info.contour}, truth in {out / 'truth'}")
