"""From an exam and its assessment to a verified draft."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fedpsma import __version__
from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from reporting.draft import Draft, Origin, Provenance, Section, Sentence
from reporting.plan.case import build_case
from reporting.plan.model import PlannedSection, PlannedSentence, with_ids
from reporting.plan.planner import plan_report
from reporting.render import RenderError, render
from reporting.sentences import Language, SentenceRequest, SentenceWriter
from reporting.template_writer import TemplateWriter
from reporting.verifier.verify import Line, Verifier

OnSentence = Callable[[str, Sentence], None]
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,15}")


@dataclass(frozen=True)
class WriterOrigin:
    """Which model stands behind a writer, for the provenance of the draft."""

    model: str | None = None
    adapter: str | None = None


def draft_report(
    exam: Exam,
    assessment: Assessment,
    writer: SentenceWriter | None = None,
    *,
    origin: WriterOrigin | None = None,
    on_sentence: OnSentence | None = None,
) -> Draft:
    """Draft a report in the language of the exam and verify it.

    A wording that cannot be rendered or that the verifier refuses is asked for once more and then replaced by the
    template sentence, which its origin says.

    Args:
        exam: The exam.
        assessment: What the rules made of this very exam; facts are taken from here, never from a writer.
        writer: The backend that words the findings; the templates where none is given.
        origin: The model behind the writer.
        on_sentence: Called with the section name and each sentence as it is finished.

    Raises:
        InputError: A lesion id cannot stand in a sentence.
    """
    _require_plain_ids(exam)
    used = writer or TemplateWriter()
    verifier = Verifier(exam, assessment)
    plan = plan_report(build_case(exam, assessment))
    desk = _Desk(used, verifier, exam.language, _first_wordings(plan, used))
    sections = [_section(section, desk, on_sentence) for section in plan]
    lines = [
        Line(section.name, sentence.text, tuple(sentence.cites))
        for section in sections
        for sentence in section.sentences
    ]
    return Draft(
        language=exam.language,
        sections=sections,
        assessment=assessment,
        verification=verifier.verify(lines),
        provenance=_provenance(sections, desk, origin or WriterOrigin()),
    )


@dataclass
class _Desk:
    """What wording a sentence needs, and how many wordings were refused."""

    writer: SentenceWriter
    verifier: Verifier
    language: Language
    wordings: dict[SentenceRequest, str | None]
    replaced: int = 0

    def candidates(self, request: SentenceRequest) -> Iterator[str]:
        """Yield the first wording and, if that is refused, a second one."""
        first = self.wordings.get(request)
        if first is not None:
            yield first
        (second,) = self.writer.write([request])
        if second is not None:
            yield second


def _first_wordings(plan: list[PlannedSection], writer: SentenceWriter) -> dict[SentenceRequest, str | None]:
    requests = [one.request for section in plan for one in section.sentences if one.request is not None]
    unique = list(dict.fromkeys(requests))
    return dict(zip(unique, writer.write(unique), strict=True)) if unique else {}


def _section(planned: PlannedSection, desk: _Desk, on_sentence: OnSentence | None) -> Section:
    sentences = []
    for one in planned.sentences:
        sentence = _sentence(planned.name, one, desk)
        if on_sentence:
            on_sentence(planned.name, sentence)
        sentences.append(sentence)
    return Section(name=planned.name, sentences=sentences)


def _sentence(section: str, planned: PlannedSentence, desk: _Desk) -> Sentence:
    if planned.request is not None and not isinstance(desk.writer, TemplateWriter):
        for wording in desk.candidates(planned.request):
            if text := _accepted(section, planned, with_ids(wording), desk):
                origin: Origin = "llm"
                return Sentence(text=text, template=with_ids(wording), cites=list(planned.cites), origin=origin)
        desk.replaced += 1
    text = render(planned.template, planned.values, desk.language)
    return Sentence(text=text, template=planned.template, cites=list(planned.cites), origin="template")


def _accepted(section: str, planned: PlannedSentence, template: str, desk: _Desk) -> str | None:
    """Render a wording; ``None`` where it cannot be rendered or the verifier finds anything wrong."""
    try:
        text = render(template, planned.values, desk.language)
    except RenderError:
        return None
    return None if desk.verifier.problems(Line(section, text, planned.cites)) else text


def _provenance(sections: list[Section], desk: _Desk, origin: WriterOrigin) -> Provenance:
    by_origin = Counter(sentence.origin for section in sections for sentence in section.sentences)
    return Provenance(
        writer=desk.writer.name,
        model=origin.model,
        adapter=origin.adapter,
        rules_version=__version__,
        sentences_by_origin=dict(by_origin),
        replaced=desk.replaced,
    )


def _require_plain_ids(exam: Exam) -> None:
    for lesion in exam.lesions:
        if not _PLAIN_ID.fullmatch(lesion.lesion_id):
            raise InputError(
                f"the lesion id {lesion.lesion_id!r} cannot stand in a report",
                where="lesions",
                remedy="use up to 16 letters, digits, dots, dashes or underscores",
            )
