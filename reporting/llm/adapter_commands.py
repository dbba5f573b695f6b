"""``fedpsma report adapter``: what a federation of adapters starts from, and what becomes of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

adapter = typer.Typer(no_args_is_help=True, help="Adapters that sites train together.")
_TARGETS = ("q_proj", "v_proj")


@adapter.callback()
def _group() -> None:
    """Adapters that sites train together."""


@adapter.command()
def start(
    out: Annotated[Path, typer.Option("--out", help="Checkpoint to write (.safetensors).")],
    begin: Annotated[
        Path | None, typer.Option("--adapter", help="Folder of an adapter to begin with; a fresh one if left out.")
    ] = None,
    shipped: Annotated[bool, typer.Option("--shipped", help="Begin with the adapter that comes along.")] = False,
    rank: Annotated[int, typer.Option(min=1, max=256, help="Rank of a fresh adapter.")] = 4,
    target: Annotated[
        list[str] | None, typer.Option(help="Linear maps of a fresh adapter. Default: q_proj and v_proj.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Name of another language model in the cache folder; the embedded one else.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides a fresh adapter.")] = 1,
) -> None:
    """Write the checkpoint that sites begin to train an adapter from.

    A few numbers suit privacy better than many, so a fresh adapter is small. The language model is not written, only
    its name and hash: every site brings its own copy.

    Example: fedpsma report adapter start --out start.safetensors, then:
    fedpsma simulate site_a site_b --set trainer=reporting.llm.federated --set init=start.safetensors
    """
    from fedpsma.errors import InputError
    from reporting.llm.adapter_files import pack, write_start
    from reporting.llm.store import embedded_model, require_adapter, require_packages

    require_packages()
    if out.suffix != ".safetensors":
        raise InputError("is not a name of a checkpoint", where=str(out), remedy="let it end in .safetensors")
    folder = require_adapter() if shipped else begin
    if folder is not None:
        made = pack(folder, out)
    else:
        from reporting.llm.adapter import fresh_adapter

        config, weights = fresh_adapter(model or embedded_model().name, rank, target or _TARGETS, seed)
        made = write_start(out, config, weights, name="fresh adapter", data="none: drawn")
    numbers = sum(array.size for array in made.weights.values())
    typer.echo(f"{made.card.name}: {numbers:,} numbers, {4 * numbers / 2**20:.2f} MiB a message; written to {out}")


@adapter.command()
def unpack(
    checkpoint: Annotated[Path, typer.Argument(help="Model of a federation that trained an adapter.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the adapter.")],
) -> None:
    """Write the adapter of a checkpoint as a folder, with its card, for drafting and judging.

    Example: fedpsma report adapter unpack federation/model/model.safetensors --out adapter, then:
    fedpsma report draft exam.json --out report --writer adapter
    """
    from reporting.llm.adapter_files import unpack as unpack_adapter
    from reporting.llm.store import require_packages

    require_packages()
    typer.echo(f"written to {unpack_adapter(checkpoint, out)}")
