"""The table of the protocol: raw model, after the gate, templates alone, with and without grammar and adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedpsma.domain.assessment import Assessment
from fedpsma.domain.exam import Exam
from fedpsma.evaluation.bootstrap import Figure, Weights, draw_weights, figure_of, quotient
from fedpsma.staging import assess
from reporting.draft import Section, Sentence
from reporting.drafting import draft_report
from reporting.evaluation.exams import FIRST_TEST_SEED, synthetic_exam
from reporting.evaluation.report_scores import Scores
from reporting.evaluation.scores import Worded, draft_scores, finding_scores
from reporting.evaluation.wordings import Wordings
from reporting.plan.case import build_case
from reporting.plan.model import PlannedSection, with_ids
from reporting.plan.planner import plan_report
from reporting.render import RenderError, render
from reporting.sentences import Language, SentenceRequest, SentenceWriter
from reporting.wording.vocabulary import is_held_out, split_codes

Choice = Callable[[SentenceRequest], bool]


@dataclass(frozen=True)
class EvaluationCase:
    """One synthetic exam with what the rules made of it and what is to be said."""

    exam: Exam
    assessment: Assessment
    plan: Sequence[PlannedSection]

    def requests(self) -> list[SentenceRequest]:
        """Return what a writer is asked for this exam."""
        return [one.request for section in self.plan for one in section.sentences if one.request is not None]


def evaluation_cases(count: int, language: Language = "en", first_seed: int = FIRST_TEST_SEED) -> list[EvaluationCase]:
    """Return synthetic exams of seeds that no training corpus uses."""
    cases = []
    for seed in range(first_seed, first_seed + count):
        exam = synthetic_exam(seed, language)
        assessment = assess(exam)
        cases.append(EvaluationCase(exam, assessment, plan_report(build_case(exam, assessment))))
    return cases


def distinct_requests(cases: Iterable[EvaluationCase]) -> list[SentenceRequest]:
    """Return every request of the cases once, in their order."""
    return list(dict.fromkeys(request for case in cases for request in case.requests()))


@dataclass(frozen=True)
class Drafted:
    """The text of one draft, and what became of each finding that a writer may word."""

    case: EvaluationCase
    sections: Sequence[Section]
    worded: Sequence[tuple[SentenceRequest, Worded]]

    def scores(self, choice: Choice | None = None) -> Scores:
        """Score the whole draft, or of its worded findings only those that are chosen."""
        exam, chosen = self.case.exam, [one for request, one in self.worded if choice is None or choice(request)]
        if choice is not None:
            return finding_scores(exam, chosen)
        return draft_scores(exam, self.case.assessment, self.sections, chosen)


def raw(case: EvaluationCase, wordings: Wordings) -> Drafted:
    """Return what a model says before anything checks it; a sentence that cannot be rendered is left out.

    The sentences that no writer may word are those of the templates.
    """
    worded, sections = [], []
    for section in case.plan:
        sentences = []
        for one in section.sentences:
            if one.request is None:
                text = render(one.template, one.values, case.exam.language)
                sentences.append(Sentence(text=text, template=one.template, cites=list(one.cites)))
                continue
            sentence = _rendered(wordings.get(one.request), one.values, one.cites, case.exam.language)
            worded.append((one.request, _worded(case, one.request, one.cites, sentence)))
            sentences += [sentence] if sentence else []
        sections.append(Section(name=section.name, sentences=sentences))
    return Drafted(case, sections, worded)


def gated(case: EvaluationCase, writer: SentenceWriter) -> Drafted:
    """Return the draft that a reader gets: checked, worded once more where refused, else the template sentence."""
    draft = draft_report(case.exam, case.assessment, writer)
    worded = [
        (one.request, _worded(case, one.request, one.cites, sentence))
        for planned, section in zip(case.plan, draft.sections, strict=True)
        for one, sentence in zip(planned.sentences, section.sentences, strict=True)
        if one.request is not None
    ]
    return Drafted(case, draft.sections, worded)


def seen(request: SentenceRequest) -> bool:
    """Whether a combination of codes belongs to those that adapters are trained on."""
    return not is_held_out(request.codes)


def unseen(request: SentenceRequest) -> bool:
    """Whether a combination of codes is held out of every training corpus."""
    return is_held_out(request.codes)


def figures(scores: Sequence[Scores]) -> dict[str, Figure]:
    """Return every share with its 95 % interval by draft; without an error, the lower end follows the rule of three."""
    weights = draw_weights(len(scores), np.random.default_rng(0))
    result = {}
    for name in scores[0]:
        right, total = (np.array([one[name][part] for one in scores], dtype=np.float64) for part in (0, 1))
        result[name] = _figure(weights @ right, weights @ total, int(total.sum()))
    return result


def counts(scores: Sequence[Scores]) -> dict[str, tuple[int, int]]:
    """Return how many were right of how many, over all drafts."""
    return {name: (sum(one[name][0] for one in scores), sum(one[name][1] for one in scores)) for name in scores[0]}


def _figure(right: Weights, total: Weights, trials: int) -> Figure:
    figure = figure_of(quotient(right, total))
    if figure.value == 1.0:
        return Figure(value=1.0, low=max(0.0, 1.0 - 3.0 / trials), high=1.0)
    return figure


def _rendered(
    wording: str | None, values: Mapping[str, str | None], cites: Sequence[str], language: Language
) -> Sentence | None:
    if wording is None:
        return None
    try:
        text = render(with_ids(wording), values, language)
    except RenderError:
        return None
    return Sentence(text=text, template=with_ids(wording), cites=list(cites), origin="llm")


def _worded(case: EvaluationCase, request: SentenceRequest, cites: Sequence[str], sentence: Sentence | None) -> Worded:
    return Worded(case.exam.lesion(cites[0]), split_codes(request.codes) or {}, sentence)
