"""``fedpsma stage``: a table of lesions goes in, the stage and everything that is open comes out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedpsma.domain.assessment import Assessment

_DISCLAIMER = "Research software: no clinician has reviewed these rules yet; a physician reads and decides."


class Promise(StrEnum):
    """Versions of PROMISE."""

    V1 = "v1"
    V2 = "v2"


def stage(
    exam: Annotated[Path, typer.Argument(metavar="EXAM.json", help="Exam record, see fedpsma analyze.")],
    out: Annotated[
        Path | None, typer.Option(help="Write the assessment here as JSON, and as a page of the same name (.html).")
    ] = None,
    promise: Annotated[Promise, typer.Option(help="Version of PROMISE miTNM and expression score.")] = Promise.V2,
    count_sides: Annotated[
        bool, typer.Option("--count-sides", help="Count left and right of one pelvic region as two (N2).")
    ] = False,
    pattern_beside_dmi: Annotated[
        bool, typer.Option("--pattern-beside-dmi", help="List the bone count beside diffuse marrow involvement.")
    ] = False,
    ignore_label: Annotated[
        bool,
        typer.Option("--ignore-label", help="No category from the table's label where a reference organ is missing."),
    ] = False,
    ignore_explanations: Annotated[
        bool,
        typer.Option(
            "--ignore-explanations",
            help="Count intense uptake in spite of a benign explanation on CT or in the history.",
        ),
    ] = False,
    diffuse_marrow: Annotated[
        bool, typer.Option("--diffuse-marrow", help="The reader sees diffuse bone marrow involvement.")
    ] = False,
) -> None:
    """Stage one exam by rule: miTNM, PSMA-RADS, expression score, response, and what is open.

    Prints a summary; with --out also writes the whole assessment with the trace of every decision, as JSON and as a
    page to read. No clinician has reviewed the rules; where the sources leave one open, it is an option.

    Example: fedpsma stage analysis/exam.json --out analysis/assessment.json
    """
    from fedpsma.domain.exam import unknown_fields
    from fedpsma.io.exam_file import read_exam, write_record
    from fedpsma.io.files import write_text
    from fedpsma.staging import StagingOptions, assess
    from fedpsma.staging_page import staging_page

    record = read_exam(exam)
    unknown = list(unknown_fields(record))
    if unknown:
        typer.echo(f"note: fields that the contract does not know were not used: {', '.join(unknown)}", err=True)
    options = StagingOptions(
        promise=promise.value,
        count_sides=count_sides,
        pattern_beside_dmi=pattern_beside_dmi,
        label_decides=not ignore_label,
        benign_explanations=not ignore_explanations,
        diffuse_marrow=diffuse_marrow,
    )
    assessment = assess(record, options)
    if out is not None:
        write_record(out, assessment)
        write_text(out.with_suffix(".html"), staging_page(record, assessment))
    _show(assessment)
    if out is not None:
        typer.echo(f"assessment: {out} and {out.with_suffix('.html')}")


def _show(assessment: Assessment) -> None:
    from fedpsma.staging.policy_effects import in_brief

    typer.echo(f"stage:      {assessment.mitnm_string or 'not applicable'}")
    if assessment.mitnm_possible:
        typer.echo(f"            not certain: {' or '.join(assessment.mitnm_possible)}")
    _show_scores(assessment)
    _show_response(assessment)
    for one in assessment.indeterminate:
        typer.echo(f"indeterminate {one.lesion} (PSMA-RADS {one.psma_rads}): {one.elements.get('impact', '')}")
        typer.echo(f"            follow-up: {one.follow_up}")
    for flag in assessment.flags:
        lesions = f" {', '.join(flag.lesions)}" if flag.lesions else ""
        typer.echo(f"flag {flag.code}{lesions}: {flag.message}")
    for effect in assessment.policy_effects:
        typer.echo(f"policy {effect.policy}: otherwise {in_brief(effect, otherwise=True)}")
    typer.echo(_DISCLAIMER)


def _show_scores(assessment: Assessment) -> None:
    if assessment.psma_rads:
        lesions = ", ".join(f"{lesion} {category or 'open'}" for lesion, category in assessment.psma_rads.items())
        typer.echo(f"PSMA-RADS:  {lesions}; overall {assessment.psma_rads_overall or 'open'}")
    if assessment.expression_highest is not None or assessment.expression_lowest is not None:
        highest, lowest = (_or_open(one) for one in (assessment.expression_highest, assessment.expression_lowest))
        typer.echo(f"expression: highest {highest}, lowest {lowest} (reference: {assessment.expression_reference})")
    if assessment.primary_score is not None:
        typer.echo(f"PRIMARY:    {assessment.primary_score}")


def _show_response(assessment: Assessment) -> None:
    if assessment.prior_change:
        changes = ", ".join(f"{lesion} {change}" for lesion, change in assessment.prior_change.items())
        typer.echo(f"change:     {changes}")
    if assessment.recip is not None:
        inputs = assessment.recip_inputs
        volumes = f" ({inputs.baseline_ml} to {inputs.current_ml} ml, {inputs.delta_pct} %)" if inputs else ""
        typer.echo(f"RECIP 1.0:  {assessment.recip}{volumes}")
    for fact in (*assessment.ppp, *assessment.radioligand_facts):
        typer.echo(f"fact:       {fact}")


def _or_open(score: int | None) -> str:
    return "open" if score is None else str(score)
