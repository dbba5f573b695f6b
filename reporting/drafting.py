"""From an exam and its assessment to a verified draft."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fedpsma import __version__
from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from fedpsma.errors import InputError
from reporting.draft import Draft, Provenance, Section, Sentence
from reporting.plan.case import build_case
from reporting.plan.model import PlannedSection, PlannedSentence, with_ids
from reporting.plan.planner import plan_report
from reporting.render import RenderError, render
from reporting.sentences import Language, SentenceWriter
from reporting.template_writer import TemplateWriter
from reporting.verifier.verify import Line, Verifier
from reporting.wording.phrasing import Phrasing, style

OnSentence = Callable[[str, Sentence], None]
ATTEMPTS = 2
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
    phrasing: Phrasing | None = None,
    on_sentence: OnSentence | None = None,
    verifier: Verifier | None = None,
) -> Draft:
    """Draft a report in the language of the exam and verify it.

    A wording that is missing, cannot be rendered, or that the verifier refuses is asked for once more; after that the
    template sentence stands in, with what was wrong.

    Args:
        exam: The exam.
        assessment: What the rules made of this very exam; facts are taken from here, never from a writer.
        writer: The backend that words the findings; the templates where none is given.
        origin: The model behind the writer.
        phrasing: The style of the template sentences; the standard one where none is given.
        on_sentence: Called with the section name and each sentence as it is finished.
        verifier: The verifier of this exam and assessment, for who goes on verifying with it.

    Raises:
        InputError: A lesion id cannot stand in a sentence.
    """
    _require_plain_ids(exam)
    used, words = writer or TemplateWriter(), phrasing or style("standard", exam.language)
    desk = _Desk(used, verifier or Verifier(exam, assessment), exam.language)
    plan = plan_report(build_case(exam, assessment, words))
    desk.word(plan)
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
        verification=desk.verifier.verify(lines),
        provenance=_provenance(sections, desk, origin or WriterOrigin(), words.name),
    )


@dataclass(frozen=True)
class _Worded:
    """What became of a planned sentence: its accepted wording, or what was wrong with those that were tried."""

    template: str | None = None
    text: str = ""
    refused: tuple[str, ...] = ()


@dataclass
class _Desk:
    """What wording a report needs, and what came of it, by planned sentence."""

    writer: SentenceWriter
    verifier: Verifier
    language: Language
    worded: dict[int, _Worded] = field(default_factory=dict)

    def word(self, plan: Sequence[PlannedSection]) -> None:
        """Word every sentence that a writer may word: all of them at once, and those refused once more."""
        if isinstance(self.writer, TemplateWriter):
            return
        open_ones = [(section.name, one) for section in plan for one in section.sentences if one.request is not None]
        for attempt in range(ATTEMPTS):
            requests = list(dict.fromkeys(one.request for _, one in open_ones if one.request is not None))
            if not requests:
                return
            written = dict(zip(requests, self.writer.write(requests, attempt=attempt), strict=True))
            for section, one in open_ones:
                self.worded[id(one)] = self._judged(section, one, written[one.request] if one.request else None)
            open_ones = [(section, one) for section, one in open_ones if self.worded[id(one)].template is None]

    def _judged(self, section: str, planned: PlannedSentence, wording: str | None) -> _Worded:
        """Render a wording and let the verifier read it."""
        before = self.worded.get(id(planned), _Worded()).refused
        if wording is None:
            return _Worded(refused=(*before, "no usable wording"))
        template = with_ids(wording)
        try:
            text = render(template, planned.values, self.language)
        except RenderError as error:
            return _Worded(refused=(*before, str(error)))
        problems = self.verifier.problems(Line(section, text, planned.cites))
        if problems:
            return _Worded(refused=(*before, "; ".join(problem.detail for problem in problems)))
        return _Worded(template, text)


def _section(planned: PlannedSection, desk: _Desk, on_sentence: OnSentence | None) -> Section:
    sentences = []
    for one in planned.sentences:
        sentence = _sentence(one, desk)
        if on_sentence:
            on_sentence(planned.name, sentence)
        sentences.append(sentence)
    return Section(name=planned.name, sentences=sentences)


def _sentence(planned: PlannedSentence, desk: _Desk) -> Sentence:
    worded, cites = desk.worded.get(id(planned), _Worded()), list(planned.cites)
    if worded.template is not None:
        return Sentence(text=worded.text, template=worded.template, cites=cites, origin="llm")
    text = render(planned.template, planned.values, desk.language)
    return Sentence(text=text, template=planned.template, cites=cites, origin="template", refused=list(worded.refused))


def _provenance(sections: list[Section], desk: _Desk, origin: WriterOrigin, style_name: str) -> Provenance:
    by_origin = Counter(sentence.origin for section in sections for sentence in section.sentences)
    return Provenance(
        writer=desk.writer.name,
        model=origin.model,
        adapter=origin.adapter,
        rules_version=__version__,
        sentences_by_origin=dict(by_origin),
        replaced=sum(bool(sentence.refused) for section in sections for sentence in section.sentences),
        style=style_name,
    )


def _require_plain_ids(exam: Exam) -> None:
    for lesion in exam.lesions:
        if not _PLAIN_ID.fullmatch(lesion.lesion_id):
            raise InputError(
                f"the lesion id {lesion.lesion_id!r} cannot stand in a report",
                where="lesions",
                remedy="use up to 16 letters, digits, dots, dashes or underscores",
            )
