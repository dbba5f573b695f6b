"""``fedpsma report``: from an exam to a draft that a physician edits and signs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reporting.llm.adapter_commands import adapter
from reporting.llm.tuning_commands import corpus, evaluate, train
from reporting.options import ReportLanguage, Style

if TYPE_CHECKING:
    from fedpsma.domain.exam import Exam
    from reporting.draft import Draft
    from reporting.wording.phrasing import Phrasing

report = typer.Typer(no_args_is_help=True, help="Draft a structured report from a lesion table.")


@report.callback()
def _group() -> None:
    """Draft a structured report from a lesion table."""


@report.command()
def draft(  # noqa: PLR0913 - a command has as many parameters as options
    exam_file: Annotated[Path, typer.Argument(metavar="EXAM.json", help="The exam: context and lesion table.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for draft.json, draft.md, draft.txt, assessment.json.")],
    writer: Annotated[
        str,
        typer.Option(
            help="auto, template, llm, the folder of a model or adapter, or the address of an endpoint (/v1)."
        ),
    ] = "auto",
    style: Annotated[Style | None, typer.Option(help="How findings are said; the facts stay the same.")] = None,
    phrasing: Annotated[Path | None, typer.Option(help="A site's own phrasing file instead of a style.")] = None,
    remote: Annotated[bool, typer.Option("--remote", help="Let the endpoint be on another machine.")] = False,
    key_file: Annotated[
        Path | None, typer.Option(help="Private file with the endpoint's key, else FEDPSMA_ENDPOINT_KEY.")
    ] = None,
    prior: Annotated[Path | None, typer.Option(help="Text file with the report of the prior examination.")] = None,
    language: Annotated[ReportLanguage | None, typer.Option(help="Language instead of the exam's own.")] = None,
) -> None:
    """Stage an exam, draft its report, verify every sentence, and print it.

    Rules compute the facts; a language model, where there is one, only words them; a separate verifier re-reads the
    text. Research use, not for clinical use: no clinician has reviewed the rules yet.

    Example: fedpsma report draft patient1/exam.json --out patient1/report --style terse
    """
    from rich.console import Console

    from fedpsma.io.exam_file import read_exam
    from fedpsma.staging import assess
    from reporting.backend import choose_backend
    from reporting.drafting import draft_report
    from reporting.exporters.report import Report
    from reporting.exporters.text import as_text
    from reporting.prior_file import with_prior
    from reporting.report_folder import require_report_folder, write_report

    require_report_folder(out)
    exam = read_exam(exam_file)
    if prior is not None:
        exam = with_prior(exam, prior)
    if language is not None:
        exam = exam.model_copy(update={"language": language.value})
    words = _words(style, phrasing, exam)
    assessment = assess(exam)
    with Console(stderr=True).status("wording the report"):
        backend = choose_backend(writer, exam.language, words, remote=remote, key_file=key_file)
        drafted = draft_report(exam, assessment, backend.writer, origin=backend.origin, phrasing=words)
    write_report(out, exam, drafted)
    typer.echo(as_text(Report(exam, drafted)))
    _tell(exam, drafted)
    typer.echo(f"worded by {backend.why}")
    typer.echo(f"written to {out}")


class OutputFormat(StrEnum):
    """How a command prints what it found."""

    TEXT = "text"
    JSON = "json"


@report.command()
def verify(
    text_file: Annotated[Path, typer.Argument(metavar="TEXT", help="draft.json, or a report as Markdown or text.")],
    exam_file: Annotated[Path, typer.Argument(metavar="EXAM.json", help="The exam: context and lesion table.")],
    output: Annotated[OutputFormat, typer.Option("--format", help="What is printed.")] = OutputFormat.TEXT,
) -> None:
    """Check a report, of this system or of another, against an exam: one line a problem.

    Numbers, units, sides, sites, counts, categories, stage, negations, changes, invented and missing lesions and
    contradictions are compared with the table and with what the rules make of it. A sentence that cannot be read is
    named as not understood; it never passes. Exit code 0: nothing found; 1: problems found; 2: the input is wrong.
    English and German. No clinician has reviewed the rules yet.

    Example: fedpsma report verify draft.md exam.json
    """
    from reporting.verifier.files import as_json, as_lines, verify_file

    found = verify_file(text_file, exam_file)
    typer.echo(as_json(found) if output is OutputFormat.JSON else as_lines(found))
    raise typer.Exit(1 if found else 0)


@report.command("read-prior")
def read_prior(
    text_file: Annotated[Path, typer.Argument(metavar="TEXT", help="The prior report as plain UTF-8 text.")],
    output: Annotated[OutputFormat, typer.Option("--format", help="What is printed.")] = OutputFormat.TEXT,
) -> None:
    """Read a prior report, English or German: lesions with their quotes, date, tracer, modality, stated stage.

    Every row has its quote and offsets. What has a value and no place, what contradicts itself, what was misspelt,
    instructions to the software and what may identify a person are shown apart and never guessed.

    Example: fedpsma report read-prior prior.txt
    """
    from reporting.prior_file import read_prior_text
    from reporting.prior_rows import prior_as_json, prior_as_text

    text = read_prior_text(text_file)
    typer.echo(prior_as_json(text) if output is OutputFormat.JSON else prior_as_text(text, where=str(text_file)))


report.add_typer(adapter, name="adapter")
for command in (corpus, train, evaluate):
    report.command()(command)


def _words(style_name: Style | None, file: Path | None, exam: Exam) -> Phrasing | None:
    from fedpsma.errors import InputError
    from reporting.wording.phrasing import read_phrasing, style

    if style_name is not None and file is not None:
        raise InputError("are both given", where="--style and --phrasing", remedy="give one of them")
    if file is not None:
        return read_phrasing(file, exam.language)
    return style(style_name.value, exam.language) if style_name else None


def _tell(exam: Exam, drafted: Draft) -> None:
    """Say what the reader has to know beside the report."""
    from fedpsma.domain.exam import unknown_fields
    from fedpsma.staging.policy_effects import in_brief

    for name in unknown_fields(exam):
        typer.echo(f"note: {name} is not a field of an exam and was not read")
    for flag in drafted.assessment.flags:
        lesions = f" ({', '.join(flag.lesions)})" if flag.lesions else ""
        typer.echo(f"note: {flag.code}{lesions}: {flag.message}")
    for effect in drafted.assessment.policy_effects:
        typer.echo(f"note: {effect.title}; otherwise {in_brief(effect, otherwise=True)}")
    if drafted.assessment.mitnm_possible:
        typer.echo(f"note: the stage is not certain: {' or '.join(drafted.assessment.mitnm_possible)}")
    for check in drafted.verification.checks:
        if not check.passed:
            typer.echo(f"check failed: {check.name}: {check.detail}", err=True)
    if drafted.provenance.replaced:
        typer.echo(f"note: {drafted.provenance.replaced} wordings did not pass; the template sentence stands in")


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
