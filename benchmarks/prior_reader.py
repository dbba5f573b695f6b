"""How well prior reports are read: extraction F1 and the change labels that follow, with 95 % intervals.

Synthetic reports with a known truth, clean and messy (typos, abbreviations, broken lines, tables, OCR noise, English
and German mixed), in phrasings at hand while the reader was made ("tuned") and in phrasings that were only measured
("held out"). F1 is micro over tuples (region, side, quantity, value); intervals by bootstrap over reports. The change
labels of exams drawn around the same truth are those of the rules on the report against those of the rules on the
true table; a lesion that is gone counts as resolved. Run it with ``python benchmarks/prior_reader.py``.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from evaluation_sets.prior_reports import PriorText, Row, prior_text, rows_of
from rich.console import Console
from rich.table import Table

from fedpsma.domain.exam import Exam
from fedpsma.staging import assess
from fedpsma.text.prior_report import read_prior_report

SEED = 90_000
DRAWS = 500
LABELS = ("new", "increased", "decreased", "stable", "resolved", "persistent_not_comparable", "match_uncertain")
_TRACER = "68Ga-PSMA-11"
Counts = Counter[str]


def tuples_of(rows: Sequence[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """Return what was told of each lesion as (region, side, quantity, value)."""
    return Counter(
        (region, side, quantity, value)
        for region, side, suvmax, size in rows
        for quantity, value in (("suvmax", suvmax), ("size_mm", size))
        if value is not None
    )


def extraction(one: PriorText) -> Counts:
    """Count right, wrong and missed tuples of one report."""
    read = tuples_of([(f.region, f.side, f.suvmax, f.size_mm) for f in read_prior_report(one.text).findings])
    truth = tuples_of(one.rows)
    right = (read & truth).total()
    return Counter(right=right, wrong=read.total() - right, missed=truth.total() - right)


def f1(counts: Counts) -> float:
    """Return the F1 score.

    Example:
        >>> f1(Counter(right=8, wrong=1, missed=1))
        0.8888888888888888
    """
    return 2 * counts["right"] / max(1, 2 * counts["right"] + counts["wrong"] + counts["missed"])


def changes(rows: Sequence[Row], one: PriorText, rng: random.Random) -> Counts:
    """Count "truth label > read label" for an exam whose lesions grew, stayed, shrank, went or came since the prior."""
    now: list[dict[str, Any]] = []
    for at, (region, side, suvmax, size) in enumerate(rows):
        if rng.random() < 0.8:
            factor = rng.choice((0.5, 1.0, 1.7))
            lesion = {"lesion_id": f"L{at}", "region": region, "side": side, "suvmax": round(suvmax * factor, 1)}
            now.append({**lesion, "size_mm": size})
    now.append({"lesion_id": "L90", "region": "BONE_SCAPULA", "side": "R", "suvmax": 9.0, "size_mm": 9.0})
    table = [
        {"lesion_id": f"P{at}", "region": region, "side": side, "suvmax": suvmax, "size_mm": size}
        for at, (region, side, suvmax, size) in enumerate(rows)
    ]
    tracer = rng.choice((_TRACER, _TRACER, _TRACER, "18F-DCFPyL"))
    prior = {"modality": "PSMA PET/CT", "tracer": _TRACER}
    base = {"tracer": tracer, "reference_suv": {"blood_pool": 1.5, "liver": 5.0, "parotid": 16.0}, "lesions": now}
    truth = _labels({**base, "prior": {**prior, "lesions": table}})
    read = _labels({**base, "prior": {**prior, "report_text": one.text}})
    return Counter(f"{truth.get(key, 'none')}>{read.get(key, 'none')}" for key in {*truth, *read})


def _labels(content: dict[str, Any]) -> dict[str, str]:
    exam = Exam.model_validate(content)
    found = assess(exam)
    labels = {lesion.lesion_id: str(found.prior_change[lesion.lesion_id]) for lesion in exam.lesions}
    gone = next(entry.result for entry in found.trace if entry.rule == "prior_match")
    return labels | {f"gone {number}": "resolved" for number in range(len(gone))}


def macro_f1(counts: Counts) -> float:
    """Return the mean F1 over the labels that occur."""
    scores = []
    for label in LABELS:
        right = counts[f"{label}>{label}"]
        truth = sum(n for key, n in counts.items() if key.split(">")[0] == label)
        read = sum(n for key, n in counts.items() if key.split(">")[1] == label)
        if truth:
            scores.append(2 * right / (truth + read))
    return sum(scores) / len(scores) if scores else 0.0


def interval(each: Sequence[Counts], score: Callable[[Counts], float]) -> str:
    """Return a score with its bootstrap interval over reports."""
    rng = random.Random(0)
    drawn = sorted(score(sum((each[rng.randrange(len(each))] for _ in each), Counter())) for _ in range(DRAWS))
    whole = score(sum(each, Counter()))
    return f"{whole:.3f} ({drawn[int(0.025 * DRAWS)]:.3f} to {drawn[int(0.975 * DRAWS)]:.3f})"


def main(number: int, *, show: bool) -> None:
    """Print one row a set."""
    table = Table("phrasings", "text", "extraction F1", "change macro-F1", title=f"{number} synthetic reports a row")
    for name in ("tuned", "held_out"):
        for messy in (False, True):
            found, labels = [], []
            for at in range(number):
                rng = random.Random(SEED + at)
                rows = rows_of(rng)
                one = prior_text(rows, name, rng, messy=messy)
                counts = extraction(one)
                found.append(counts)
                labels.append(changes(rows, one, rng))
                if show and (counts["wrong"] or counts["missed"]):
                    read = [(f.region, f.side, f.suvmax, f.size_mm) for f in read_prior_report(one.text).findings]
                    print("---", one.text, "\ntruth", *one.rows, "\nread ", *read, sep="\n")
            table.add_row(name, "messy" if messy else "clean", interval(found, f1), interval(labels, macro_f1))
    console = Console(width=120)
    console.print(table)
    text = "Left external iliac node 9 mm, SUVmax 8.1. Liver normal. " * 1750
    started = time.process_time()
    read_prior_report(text)
    console.print(f"{len(text)} characters read in {time.process_time() - started:.1f} s of processor time")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=300, help="reports a row")
    parser.add_argument("--show", action="store_true", help="print the reports that were not read rightly")
    options = parser.parse_args()
    main(options.number, show=options.show)
