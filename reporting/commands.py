"""``fedpsma report``: from an exam to a draft that a physician edits and signs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedpsma.domain.exam import Exam
    from reporting.draft import Draft

report = typer.Typer(no_args_is_help=True, help="Draft a structured report from a lesion table.")


class Writer(StrEnum):
    """Who words the findings."""

    AUTO = "auto"
    TEMPLATE = "template"
    LLM = "llm"


class ReportLanguage(StrEnum):
    """The language of the report."""

    ENGLISH = "en"
    GERMAN = "de"


@report.callback()
def _group() -> None:
    """Draft a structured report from a lesion table."""


@report.command()
def draft(
    exam_file: Annotated[Path, typer.Argument(metavar="EXAM.json", help="The exam: context and lesion table.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for draft.json, report.md, report.txt, assessment.json.")],
    writer: Annotated[Writer, typer.Option(help="auto: the language model if it is ready.")] = Writer.AUTO,
    prior: Annotated[Path | None, typer.Option(help="Text file with the report of the prior examination.")] = None,
    language: Annotated[ReportLanguage | None, typer.Option(help="Language instead of the exam's own.")] = None,
) -> None:
    """Stage an exam, draft its report, verify every sentence, and print it.

    Rules compute the facts; a language model, where there is one, only words them; a separate verifier re-reads the
    text. Research use, not for clinical use: no clinician has reviewed the rules yet.
    """
    from rich.console import Console

    from fedpsma.io.exam_file import read_exam
    from fedpsma.staging import assess
    from reporting.backend import choose_backend
    from reporting.drafting import draft_report
    from reporting.exporters.report import Report
    from reporting.exporters.text import as_text
    from reporting.prior_file import with_prior
    from reporting.report_folder import write_report

    exam = read_exam(exam_file)
    if prior is not None:
        exam = with_prior(exam, prior)
    if language is not None:
        exam = exam.model_copy(update={"language": language.value})
    assessment = assess(exam)
    with Console(stderr=True).status("wording the report"):
        backend = choose_backend(writer.value, exam.language)
        drafted = draft_report(exam, assessment, backend.writer, origin=backend.origin)
    write_report(out, exam, drafted)
    typer.echo(as_text(Report(exam, drafted)))
    _tell(exam, drafted)
    typer.echo(f"worded by {backend.why}")
    typer.echo(f"written to {out}")


def _tell(exam: Exam, drafted: Draft) -> None:
    """Say what the reader has to know beside the report."""
    from fedpsma.domain.exam import unknown_fields

    for name in unknown_fields(exam):
        typer.echo(f"note: {name} is not a field of an exam and was not read")
    for flag in drafted.assessment.flags:
        lesions = f" ({', '.join(flag.lesions)})" if flag.lesions else ""
        typer.echo(f"note: {flag.code}{lesions}: {flag.message}")
    for check in drafted.verification.checks:
        if not check.passed:
            typer.echo(f"check failed: {check.name}: {check.detail}", err=True)


@report.command("export")
def export_(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A report or a reading: what report draft or the demo wrote.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the files; files of the same name are replaced.")],
    formats: Annotated[
        list[str],
        typer.Option("--format", help="text, markdown, docx, pdf, fhir, csv, seg, sr, dicom-pdf or all; repeatable."),
    ],
    analysis: Annotated[
        Path | None, typer.Option(help="Analysis with the images; by default the folder around FOLDER.")
    ] = None,
    dicom: Annotated[
        Path | None, typer.Option(help="Folder with the PET series in DICOM; seg, sr and dicom-pdf need it.")
    ] = None,
) -> None:
    """Write a report in the formats that hospitals take.

    What nobody signed is marked DRAFT in every format. SEG, SR and the PDF in DICOM copy patient and study from the
    headers of the PET, and only where its voxels are those of the analysis. Research use, not for clinical use: no
    clinician has reviewed the rules yet.

    Example: fedpsma report export reading --format pdf --format fhir --out outbox
    """
    from reporting.exporters.export_folder import formats_asked, read_for_export, write_exports
    from reporting.exporters.registry import FORMATS

    given = read_for_export(folder, analysis, dicom)
    names = formats_asked(formats, given)
    for path in write_exports(given, names, out):
        typer.echo(f"written: {path}")
    if "all" in formats and dicom is None:
        left = ", ".join(name for name, one in FORMATS.items() if one.needs_dicom)
        typer.echo(f"left out: {left} (they need --dicom FOLDER with the PET series)")
    if not given.signed:
        typer.echo("nobody signed this report: every file is marked DRAFT")
