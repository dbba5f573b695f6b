"""``fedpsma compare``: two analysed studies go in, the change of every lesion and the response come out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedpsma.commands.policies import SetPolicies, read_policies

if TYPE_CHECKING:
    from fedpsma.comparison.study_pair import StudyPair


def compare(
    baseline: Annotated[Path, typer.Argument(metavar="BASELINE", help="Folder of fedpsma analyze, earlier study.")],
    follow_up: Annotated[Path, typer.Argument(metavar="FOLLOWUP", help="Folder of fedpsma analyze, later study.")],
    out: Annotated[Path, typer.Option(help="Folder to write; replaces an earlier comparison.")],
    policies: SetPolicies = None,
) -> None:
    """Compare two analysed studies: lesions matched on aligned images, change of each, PSMA volume, RECIP.

    Writes comparison.html with comparison.png (both studies side by side, equal numbers for the same lesion),
    comparison.json, exam.json (with the prior) and the assessment, as JSON and as a page. No clinician has reviewed
    the rules; --set changes their open policies, as in fedpsma stage.

    Example: fedpsma compare analysis/2024 analysis/2025 --out comparison
    """
    from time import perf_counter

    from fedpsma.comparison.folder import COMPARISON_FILE, FILES, read_examined, write_comparison
    from fedpsma.comparison.study_pair import compare_studies
    from fedpsma.io.files import require_own_folder

    options = read_policies(policies)
    require_own_folder(out, COMPARISON_FILE, FILES)
    start = perf_counter()
    earlier, later = read_examined(baseline), read_examined(follow_up)
    read = perf_counter()
    pair = compare_studies(earlier, later, options)
    done = perf_counter()
    write_comparison(out, earlier, later, pair, {"reading": read - start, "aligning and matching": done - read})
    _show(pair, out)


def _show(pair: StudyPair, out: Path) -> None:
    from fedpsma.staging_page import DISCLAIMER

    found = pair.assessment
    for number, group in enumerate(pair.groups, start=1):
        change = found.prior_change.get(group.now[0], "")
        typer.echo(f"{number:3} {', '.join(group.before)} -> {', '.join(group.now)}: {change}")
    typer.echo(f"new:        {', '.join(pair.new) or 'none'}")
    typer.echo(f"resolved:   {', '.join(pair.resolved) or 'none'}")
    inputs = found.recip_inputs
    volumes = f" ({inputs.baseline_ml:g} to {inputs.current_ml:g} ml, {inputs.delta_pct:+.1f} %)" if inputs else ""
    typer.echo(f"RECIP 1.0:  {found.recip or 'not computable'}{volumes}")
    for flag in found.flags:
        if flag.code in ("response_discordance", "tracer_change", "tumour_sink", "recip_not_applicable"):
            typer.echo(f"flag {flag.code} {', '.join(flag.lesions)}: {flag.message}")
    typer.echo(f"{DISCLAIMER}\nwritten to {out}")
