"""What follows from a reading: the exam as it counts, its assessment, the report and the totals."""

from __future__ import annotations

from dataclasses import dataclass

from demo.reading.composing import ShownSentence, compose, composed_draft
from demo.reading.history import Reading
from demo.reading.state import ReadingState
from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from fedpsma.staging import assess
from reporting.draft import Draft
from reporting.drafting import draft_report
from reporting.plan.case import Case, build_case
from reporting.plan.quantities import WholeBody, whole_body
from reporting.sentences import SentenceWriter
from reporting.verifier.verify import Verifier


@dataclass(frozen=True)
class Result:
    """All that the page shows of a reading.

    ``exam`` holds the lesions that count. ``draft`` is null where no report can be written, and ``problem`` says why.
    """

    exam: Exam
    assessment: Assessment
    case: Case
    totals: WholeBody
    sentences: tuple[ShownSentence, ...] = ()
    draft: Draft | None = None
    problem: str = ""

    @property
    def failed_checks(self) -> int:
        """How many checks of the report ask for another look."""
        return sum(not check.passed for check in self.draft.verification.checks) if self.draft else 0

    @property
    def unsettled(self) -> int:
        """How many sentences of the reader stand on facts that changed below them."""
        return sum(one.marker in ("conflict", "orphan") for one in self.sentences)


def result_of(reading: Reading, writer: SentenceWriter | None = None) -> Result:
    """Stage the lesions that count and write the report around what the reader did to it.

    Args:
        reading: The reading.
        writer: Words the findings; the templates where none is given.
    """
    exam, assessment = _assessed(reading.state)
    case = build_case(exam, assessment)
    totals = whole_body(case)
    # What it found of the drafted sentences holds for those that the reader left as they are.
    verifier = Verifier(exam, assessment)
    try:
        drafted = draft_report(exam, assessment, writer, verifier=verifier)
    except InputError as error:
        return Result(exam, assessment, case, totals, problem=str(error))
    sentences = tuple(compose(drafted, reading.state))
    report = composed_draft(drafted, sentences, verifier, reading.standing)
    return Result(exam, assessment, case, totals, sentences, report)


def _assessed(state: ReadingState) -> tuple[Exam, Assessment]:
    """Stage the included lesions; where the reader changed them, the total volume is the sum of what counts now."""
    exam = state.exam.model_copy(update={"lesions": list(state.included)})
    if not state.measured_anew or exam.psma_vol_ml is None:
        return exam, assess(exam)
    bare = exam.model_copy(update={"psma_vol_ml": None})
    found = assess(bare)
    total = whole_body(build_case(bare, found)).psma_tv_ml
    if total is None:
        return bare, found
    summed = exam.model_copy(update={"psma_vol_ml": total})
    return summed, assess(summed)
