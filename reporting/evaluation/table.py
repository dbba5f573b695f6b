"""The whole evaluation of a model: what it says, what becomes of it, and what it adds to the templates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedpsma.evaluation.bootstrap import Figure
from fedpsma.io.files import write_json
from reporting.evaluation.fluency import perplexity
from reporting.evaluation.report_scores import Scores
from reporting.evaluation.run import (
    EvaluationCase,
    counts,
    distinct_requests,
    evaluation_cases,
    figures,
    raw,
    seen,
    unseen,
)
from reporting.evaluation.study import Progress, Study
from reporting.evaluation.wordings import Replayed, Wordings
from reporting.llm.store import ModelChoice, require_model, shipped_adapter
from reporting.sentences import Language
from reporting.template_writer import TemplateWriter

_JUDGED = 60
_ABREAST = 3
_FEW = {
    "base model, free": "base-free",
    "base model, grammar": "base-grammar",
    "tuned, free": "tuned-free",
    "tuned, grammar, the same few": "tuned-grammar",
}
RESULT_FILE = "evaluation.json"
_ABOUT = (
    "Synthetic exams from planned phantom patients, of seeds that no training corpus uses. The facts that a sentence "
    "states are read by the same marks that limit the grammar. No clinician has judged any sentence."
)


@dataclass(frozen=True)
class EvaluationPlan:
    """How many exams each way of drafting is judged on, in which language, and with which adapter."""

    exams: int = 50
    template_exams: int = 1000
    free_exams: int = 10
    adapter: Path | None = None
    language: Language = "en"


@dataclass(frozen=True)
class Column:
    """One way of drafting: over how many drafts and sentences, and the share of each score that is right."""

    name: str
    drafts: int
    shares: dict[str, Figure]
    counted: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Table:
    """All ways of drafting side by side."""

    ways: tuple[Column, ...]
    remarks: tuple[str, ...]

    def parts(self) -> list[Table]:
        """Return the table in parts that are narrow enough for a screen."""
        starts = range(0, len(self.ways), _ABREAST)
        return [Table(self.ways[start : start + _ABREAST], ()) for start in starts]

    @property
    def columns(self) -> list[str]:
        """The heads of the columns."""
        return [f"{way.name} ({way.drafts} drafts)" for way in self.ways]

    def rows(self) -> list[list[str]]:
        """Return one row a score, each cell with its interval."""
        names = dict.fromkeys(name for way in self.ways for name in way.shares)
        return [[name, *(_cell(way.shares.get(name)) for way in self.ways)] for name in names]

    def content(self) -> dict[str, Any]:
        """Return the content of ``evaluation.json``."""
        ways = {
            way.name: {
                "drafts": way.drafts,
                "scores": {
                    name: {**figure.model_dump(), "right": way.counted[name][0], "of": way.counted[name][1]}
                    for name, figure in way.shares.items()
                },
            }
            for way in self.ways
        }
        return {"about": _ABOUT, "ways": ways, "remarks": self.remarks}


def evaluate_model(out: Path, plan: EvaluationPlan, progress: Progress) -> Table:
    """Let the model word synthetic exams and count what is right before and after the gate.

    What was said and counted is kept as soon as it is there, and ``evaluation.json`` is written after each way of
    drafting, so that the same call goes on after a stop.

    Args:
        out: The folder in which what was said is kept.
        plan: How many exams.
        progress: Called with (what is done, done, in all).

    Raises:
        InputError: The model or the adapter is not there.
    """
    choice = ModelChoice(require_model(), plan.adapter or shipped_adapter())
    study = Study(out, plan.language, progress, choice)
    cases = evaluation_cases(max(plan.exams, plan.template_exams, plan.free_exams), plan.language)
    worded = cases[: plan.exams]
    ways: list[Column] = []
    for name, scores in _ways(study, plan, cases):
        ways.append(_column(name, scores))
        write_table(out, Table(tuple(ways), ("not finished",)))
    return Table(tuple(ways), tuple(_remarks(study.choice.model, worded, study.said("tuned-grammar", worded))))


def _ways(study: Study, plan: EvaluationPlan, cases: Sequence[EvaluationCase]) -> Iterator[tuple[str, list[Scores]]]:
    """Yield each way of drafting with the scores of its drafts, the cheap and telling ones first."""
    worded, few = cases[: plan.exams], cases[: plan.free_exams]
    tuned = study.said("tuned-grammar", worded)
    for name, choice in (("", None), (", seen codes", seen), (", unseen codes", unseen)):
        yield f"tuned, grammar, raw{name}", [raw(case, tuned).scores(choice) for case in worded]
    drafts = study.drafted("gate", worded, Replayed(tuned, study.second_tries()))
    for name, key in (("", "all"), (", seen codes", "seen"), (", unseen codes", "unseen")):
        yield f"after the gate{name}", [draft[key] for draft in drafts]
    templates = study.drafted("templates", cases[: plan.template_exams], TemplateWriter())
    yield "templates alone", [draft["all"] for draft in templates]
    for name, file in _FEW.items():
        said = study.said(file, few)
        yield name, [raw(case, said).scores() for case in few]


def write_table(out: Path, table: Table) -> None:
    """Write ``evaluation.json``."""
    write_json(out / RESULT_FILE, table.content())


def _column(name: str, scores: Sequence[Scores]) -> Column:
    return Column(name, len(scores), figures(scores), counts(scores))


def _remarks(base: Path, cases: Sequence[EvaluationCase], wordings: Wordings) -> list[str]:
    """Say what the model adds to the templates: different sentences, and how likely the base model finds them."""
    requests = distinct_requests(cases)
    said = {text: request.fallback for request in requests if (text := wordings.get(request))}
    remarks = [
        f"{len(requests)} different requests: {len(said)} different wordings of the model, "
        f"{len({request.fallback for request in requests})} of the templates."
    ]
    if said:
        some = list(said.items())[:_JUDGED]
        model, templates = (perplexity(base, [pair[side] for pair in some]) for side in (0, 1))
        remarks.append(
            f"Perplexity of the untuned base model over {len(some)} sentences, a weak sign of fluency: "
            f"{model:.0f} for the model's, {templates:.0f} for the templates' of the same codes."
        )
    return [*remarks, _ABOUT]


def _cell(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"
