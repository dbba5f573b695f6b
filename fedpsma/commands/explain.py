"""``fedpsma explain``: what the network's suspicion of a lesion rests on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedpsma.commands.options import Units

if TYPE_CHECKING:
    from fedpsma.domain.exam import Lesion
    from fedpsma.domain.saliency import Saliency
    from fedpsma.explanation import ExplainedAnalysis


def explain(
    path: Annotated[Path, typer.Argument(metavar="INPUT", help="What was analysed, as given to fedpsma analyze.")],
    analysis: Annotated[Path, typer.Argument(metavar="ANALYSIS", help="Folder that fedpsma analyze wrote.")],
    lesions: Annotated[list[str], typer.Argument(metavar="LESION...", help="Lesions of its table, e.g. L1 L3.")],
    study: Annotated[str | None, typer.Option(help="Which study, if INPUT is a data set.")] = None,
    ct: Annotated[Path | None, typer.Option(help="NIfTI CT in HU that goes with a NIfTI PET.")] = None,
    units: Annotated[
        Units | None, typer.Option(help="Say that a NIfTI PET is in SUVbw; otherwise it needs NAME.json beside it.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Checkpoint that the analysis was made with, if not the base.")
    ] = None,
) -> None:
    """Show which voxels of PET and CT make the network suspect a lesion.

    Integrated gradients (Sundararajan et al. 2017) share the network's suspicion out among the voxels, so that all
    shares sum to it. Writes into ANALYSIS/saliency: a picture of each lesion, one map each for PET and CT (NIfTI), and
    the sums.
    """
    from fedpsma.commands.study_input import read_study
    from fedpsma.explanation import reopen

    given = read_study(path, study, None, ct=ct, suv_declared=units is not None)
    opened = reopen(analysis, given.study)
    chosen = [opened.lesion(name) for name in dict.fromkeys(lesions)]
    for lesion, (found, picture) in zip(chosen, _explained(opened, chosen, model), strict=True):
        _show(lesion, found, picture)


def _explained(opened: ExplainedAnalysis, lesions: list[Lesion], model: Path | None) -> list[tuple[Saliency, Path]]:
    """Explain and write one lesion after the other under a progress bar."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("loading the model", total=None)
        from fedpsma.errors import InputError
        from fedpsma.explanation import write_saliency
        from fedpsma.model.checkpoint import load_checkpoint, load_network
        from fedpsma.model.memory import keep_freed_memory
        from fedpsma.model.saliency import explain

        if load_checkpoint(model).card.sha256 != opened.model_sha256:
            raise InputError(
                "was made with another model", where=str(opened.folder), remedy="give its checkpoint with --model"
            )
        keep_freed_memory()
        net, found = load_network(model), []
        for number, lesion in enumerate(lesions):

            def on_step(done: int, total: int, name: str = lesion.lesion_id, before: int = number) -> None:
                whole = total * len(lesions)
                progress.update(task, description=f"explaining {name}", completed=before * total + done, total=whole)

            saliency = explain(net, opened.study, opened.core(lesion), on_step)
            found.append((saliency, write_saliency(opened, lesion, saliency)))
        return found


def _show(lesion: Lesion, found: Saliency, picture: Path) -> None:
    from fedpsma.model.saliency import COMPLETENESS

    parts = f"{found.baseline:.2f} without a patient, {found.from_pet:+.2f} by PET"
    if found.from_ct is not None:
        parts += f", {found.from_ct:+.2f} by CT"
    typer.echo(f"{lesion.lesion_id}: suspicion of the network {found.suspicion:.2f} = {parts}; see {picture}")
    within = abs(found.remainder) <= COMPLETENESS
    told = "within" if within else "BEYOND"
    typer.echo(f"  the shares miss it by {found.remainder:+.3f}, {told} the tolerance of {COMPLETENESS:g}")
