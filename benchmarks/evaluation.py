"""How long the figures of an evaluation take, bootstrap over patients included.

Made-up patients with a dozen and with a hundred foci a scan, all figures with 2,000 draws of patients, overall and by
tracer; the bar is 20 s for 100 patients. With the real pair of masks of the autoPET challenge beside the checkout, also
its figures and their time; the bar there is 1 s. Run it with ``python benchmarks/evaluation.py``. Processor time tells
what a free core would do where other programs use it too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/helpers"))

from made_up_scores import made_up_studies  # noqa: E402

from fedpsma.evaluation.mask_pair import read_pair  # noqa: E402
from fedpsma.evaluation.report import DatasetTold, Evaluation, Reading, evaluate  # noqa: E402

PAIR = ROOT.parent / "shared/data/autopet3_psma_sample"


def main() -> None:
    """Measure and print the table."""
    table = Table(title="all figures of one model with 2,000 draws of patients")
    for column in ("what", "wall s", "processor s", "bar s"):
        table.add_column(column)
    told = [DatasetTold(name="made up", site="A", synthetic=True, contour="pct45", citation=None, licence=None)]
    for foci in (12, 100):
        reading = Reading("made up", tuple(made_up_studies(100, foci=foci)))
        _, *times = _timed(lambda reading=reading: evaluate([reading], told))
        table.add_row(f"100 patients, about {foci} foci a scan", *times, "20")
    masks = sorted(PAIR.glob("*.nii.gz"))
    if len(masks) == 2:
        found, *times = _timed(lambda: evaluate(*read_pair(*masks)))
        figures = found.models[0].groups[0].figures
        values = ", ".join(
            f"{name} {figures[name].value:.6g}" for name in ("dice", "false_positive_ml", "false_negative_ml")
        )
        table.add_row(f"autoPET pair, read and scored: {values}", *times, "1")
    Console().print(table)


def _timed(work: Callable[[], Evaluation]) -> tuple[Evaluation, str, str]:
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    return found, f"{time.perf_counter() - wall:.2f}", f"{time.process_time() - processor:.2f}"


if __name__ == "__main__":
    main()
