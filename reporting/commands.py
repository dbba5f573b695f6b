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
    from reporting.prior_file import with_prior
    from reporting.writers import as_text, write_report

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
    typer.echo(as_text(drafted))
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

    Example: fedpsma report verify report.md exam.json
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
