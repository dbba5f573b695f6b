"""``fedpsma stage``: a table of lesions goes in, the stage and everything that is open comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedpsma.commands.policies import SetPolicies, read_policies

if TYPE_CHECKING:
    from fedpsma.domain.assessment import Assessment

_DISCLAIMER = "Research software: no clinician has reviewed these rules yet; a physician reads and decides."


def stage(
    exam: Annotated[Path, typer.Argument(metavar="EXAM.json", help="Exam record, see fedpsma analyze.")],
    out: Annotated[
        Path | None, typer.Option(help="Write the assessment here as JSON, and as a page of the same name (.html).")
    ] = None,
    policies: SetPolicies = None,
) -> None:
    """Stage one exam by rule: miTNM, PSMA-RADS, expression score, response, and what is open.

    Prints a summary; with --out also writes the whole assessment with the trace of every decision, as JSON and as a
    page to read. No clinician has reviewed the rules. Where the sources leave one open, it is a policy, which --set
    changes: promise (v2 or v1), count_sides, diffuse_marrow, pattern_beside_dmi, label_decides, benign_explanations
    (yes or no), unspecific_bone_suvmax, change_percent, node_short_axis_pelvis_mm, node_short_axis_elsewhere_mm,
    parotid_low_suv, liver_low_suv (numbers).

    Example: fedpsma stage analysis/exam.json --out analysis/assessment.json --set count_sides=yes
    """
    from fedpsma.domain.exam import unknown_fields
    from fedpsma.errors import InputError
    from fedpsma.io.exam_file import read_exam, write_record
    from fedpsma.io.files import write_text
    from fedpsma.staging import assess
    from fedpsma.staging_page import staging_page

    if out is not None and out.suffix == ".html":
        raise InputError("is where the page goes", where=str(out), remedy="name the JSON file, such as assessment.json")
    options = read_policies(policies)
    record = read_exam(exam)
    unknown = list(unknown_fields(record))
    if unknown:
        typer.echo(f"note: fields that the contract does not know were not used: {', '.join(unknown)}", err=True)
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
        volumes = f" ({inputs.baseline_ml:g} to {inputs.current_ml:g} ml, {inputs.delta_pct:+.1f} %)" if inputs else ""
        typer.echo(f"RECIP 1.0:  {assessment.recip}{volumes}")
    for fact in (*assessment.ppp, *assessment.radioligand_facts):
        typer.echo(f"fact:       {fact}")


def _or_open(score: int | None) -> str:
    return "open" if score is None else str(score)
