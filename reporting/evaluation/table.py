"""The whole evaluation of a model: what it says, what becomes of it, and what it adds to the templates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fedpsma.evaluation.bootstrap import Figure
from fedpsma.io.files import write_json
from reporting.evaluation.run import (
    EvaluationCase,
    counts,
    distinct_requests,
    evaluation_cases,
    figures,
    score_gated,
    score_raw,
    score_template,
    seen,
    unseen,
)
from reporting.evaluation.scores import Scores
from reporting.evaluation.wordings import Wordings, write_all
from reporting.llm.store import require_model, shipped_adapter
from reporting.llm.writer import LanguageModelWriter, WriterConfig

Progress = Callable[[str, int, int], None]
RESULT_FILE = "evaluation.json"
_ABOUT = (
    "Synthetic exams from planned phantom patients, of seeds that no training corpus uses. The facts that a sentence "
    "states are read by the same marks that limit the grammar. No clinician has judged any sentence."
)


@dataclass(frozen=True)
class EvaluationPlan:
    """How many exams each way of drafting is judged on, and with which adapter."""

    exams: int = 50
    template_exams: int = 1000
    free_exams: int = 10
    adapter: Path | None = None


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

    @property
    def columns(self) -> list[str]:
        """The heads of the columns."""
        return [f"{way.name} ({way.drafts} drafts)" for way in self.ways]

    def rows(self) -> list[list[str]]:
        """Return one row a score, each cell with its interval."""
        return [[name, *(_cell(way.shares[name]) for way in self.ways)] for name in self.ways[0].shares]

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

    Args:
        out: The folder in which what was said is kept.
        plan: How many exams.
        progress: Called with (what is worded, done, in all).

    Raises:
        InputError: The model or the adapter is not there.
    """
    base, adapter = require_model(), plan.adapter or shipped_adapter()
    cases = evaluation_cases(max(plan.exams, plan.template_exams, plan.free_exams))
    worded, few = cases[: plan.exams], cases[: plan.free_exams]
    ruled = WriterConfig(checked=False)
    free = replace(ruled, constrained=False)

    def said(name: str, config: WriterConfig, which: Sequence[EvaluationCase]) -> Wordings:
        return write_all(
            out / f"{name}.jsonl",
            distinct_requests(which),
            lambda: LanguageModelWriter.load(base, adapter, config=config),
            lambda done, total: progress(name, done, total),
        )

    untaught = said("base-free", replace(free, tuned=False), few)
    unruled = said("tuned-free", free, few)
    tuned = said("tuned-grammar", ruled, worded)
    again = LanguageModelWriter.load(base, adapter)
    ways = (
        _column("base model, free", [score_raw(case, untaught) for case in few]),
        _column("tuned, free", [score_raw(case, unruled) for case in few]),
        _column("tuned, grammar, raw", [score_raw(case, tuned) for case in worded]),
        _column("after the gate", [score_gated(case, tuned, again) for case in worded]),
        _column("  seen codes", [score_gated(case, tuned, again, seen) for case in worded]),
        _column("  unseen codes", [score_gated(case, tuned, again, unseen) for case in worded]),
        _column("templates alone", [score_template(case) for case in cases[: plan.template_exams]]),
    )
    return Table(ways, tuple(_remarks(worded, tuned)))


def write_table(out: Path, table: Table) -> None:
    """Write ``evaluation.json``."""
    write_json(out / RESULT_FILE, table.content())


def _column(name: str, scores: Sequence[Scores]) -> Column:
    return Column(name, len(scores), figures(scores), counts(scores))


def _remarks(cases: Sequence[EvaluationCase], wordings: Wordings) -> list[str]:
    """Say what the model adds to the templates: how many different sentences it makes of the same codes."""
    requests = distinct_requests(cases)
    said = {text for request in requests if (text := wordings.get(request))}
    fallbacks = {request.fallback for request in requests}
    lengths = [len(text.split()) for text in said]
    mean = f"{np.mean(lengths):.1f}" if lengths else "no"
    return [
        f"{len(requests)} different requests: {len(said)} different wordings of the model ({mean} words each), "
        f"{len(fallbacks)} of the templates.",
        _ABOUT,
    ]


def _cell(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"
