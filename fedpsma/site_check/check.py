"""One way through: a data set goes in, its report comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from fedpsma.io.dataset import Dataset, StudyRow
from fedpsma.io.files import write_text
from fedpsma.site_check.cache import forget_others, kept_facts, measure_and_keep
from fedpsma.site_check.facts import StudyFacts
from fedpsma.site_check.page import render_page
from fedpsma.site_check.problems import checked_studies
from fedpsma.site_check.report import CheckReport, build_report

JSON_FILE, PAGE_FILE, FACTS_FOLDER = "check.json", "check.html", "facts"


def check_dataset(
    data: Dataset, out: Path, *, workers: int = 2, on_study: Callable[[str], None] | None = None
) -> CheckReport:
    """Check a data set and write ``check.json``, ``check.html`` and the facts of every study into ``out``.

    Studies whose files did not change since the last check are not read again, so a check that was stopped goes on.

    Args:
        data: The data set, whose index is sound.
        out: Folder to write; only files of an earlier check are replaced there.
        workers: Processes that read studies; 1 reads them in this one.
        on_study: Called with the id of each study when its facts are there.

    Raises:
        OSError: ``out`` cannot be written.
    """
    cache = out / FACTS_FOLDER
    facts = dict(_facts(data, cache, workers, on_study))
    studies = checked_studies(data, [facts[row.id] for row in data.rows])
    report = build_report(data.info, studies)
    forget_others(cache, data.rows)
    write_text(out / PAGE_FILE, render_page(report))
    write_text(out / JSON_FILE, report.model_dump_json(indent=1) + "\n")
    return report


def _facts(
    data: Dataset, cache: Path, workers: int, on_study: Callable[[str], None] | None
) -> Iterator[tuple[str, StudyFacts]]:
    changed = []
    for row in data.rows:
        kept = kept_facts(data.folder, row, cache)
        if kept is None:
            changed.append(row)
        else:
            yield _told(row.id, kept, on_study)
    for name, facts in _measured(data.folder, changed, cache, workers):
        yield _told(name, facts, on_study)


def _told(name: str, facts: StudyFacts, on_study: Callable[[str], None] | None) -> tuple[str, StudyFacts]:
    if on_study is not None:
        on_study(name)
    return name, facts


def _measured(folder: Path, rows: Sequence[StudyRow], cache: Path, workers: int) -> Iterator[tuple[str, StudyFacts]]:
    if workers == 1 or len(rows) < 2:
        yield from ((row.id, measure_and_keep(folder, row, cache)) for row in rows)
        return
    # A forked child would inherit the locks of the progress bar's thread.
    with ProcessPoolExecutor(min(workers, len(rows)), mp_context=get_context("spawn")) as pool:
        running = {pool.submit(measure_and_keep, folder, row, cache): row.id for row in rows}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
