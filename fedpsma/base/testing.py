"""The figures of the base checkpoint on the pairs of site and tracer that it never saw, written into its model card."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from fedpsma.evaluation.figures import figure_facts
from fedpsma.evaluation.page import write_report
from fedpsma.evaluation.readers import NetworkReader
from fedpsma.evaluation.report import Evaluation, Reading, evaluate, tell
from fedpsma.evaluation.run import KEPT_FOLDER, Task, plan, read_all
from fedpsma.io.dataset import read_dataset
from fedpsma.io.files import write_json
from fedpsma.model.checkpoint import card_path, load_checkpoint
from fedpsma.model.memory import keep_freed_memory


def tasks_of(folders: list[Path]) -> tuple[Task, ...]:
    """Return the studies of the data sets of the cohort "testing"."""
    return plan([read_dataset(folder) for folder in folders])


def read_studies(tasks: tuple[Task, ...], model: Path, out: Path, workers: int = 2) -> Iterator[None]:
    """Let the model read every study, yielding after each; what was read once is kept in ``out``."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(_read, model, out), tasks)


def write_figures(tasks: tuple[Task, ...], model: Path, out: Path) -> Evaluation:
    """Write the evaluation into ``out`` and its headline figures into the model card beside the weights.

    Those that the training chose its weights by stand there too, named as such: they are too good.
    """
    reader = NetworkReader.load(model)
    (scores,) = read_all(tasks, [reader], out / KEPT_FOLDER)
    infos = {task.dataset.folder: task.dataset.info for task in tasks}
    report = evaluate([Reading(reader.name, scores, reader.epsilon)], [tell(info) for info in infos.values()])
    write_report(out, report)
    card = load_checkpoint(model).card
    chosen_by = card.metrics.get("chosen_by", card.metrics)
    told = card.model_copy(update={"metrics": {**headline(report), "chosen_by": chosen_by}})
    write_json(card_path(model), told.model_dump(mode="json"))
    return report


def headline(report: Evaluation) -> dict[str, object]:
    """Return the headline figures of the first model, each as its value and the ends of its 95 % interval."""
    whole = report.models[0].groups[0]
    found = {
        facts.name: [None if one is None else round(one, 3) for one in (figure.value, figure.low, figure.high)]
        for facts in figure_facts()
        if facts.headline and (figure := whole.figures.get(facts.name)) is not None
    }
    on = (
        f"{whole.patients} synthetic patients of the pairs of site and tracer that were held out, {whole.lesions} "
        "lesions; value with 95 % bootstrap interval over patients"
    )
    return {"on": on, **found}


def _read(model: Path, out: Path, task: Task) -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    read_all([task], [NetworkReader.load(model)], out / KEPT_FOLDER)
