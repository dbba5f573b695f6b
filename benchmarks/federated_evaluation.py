"""Do the intervals of federated evaluation hold: coverage over simulated federations, and what withholding costs.

Many federations of unlike sites are drawn from made-up patients of known truth (a very large sample of the same
mixture). Each site tells sums and histograms only. The bar is a coverage of 93 to 97 % by nominal 95 % intervals; the
width is set against a bootstrap over all patients pooled. Run it with ``python benchmarks/federated_evaluation.py``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/helpers"))

from made_up_scores import made_up_studies  # noqa: E402

from fedpsma.evaluation.bootstrap import Figure, draw_weights, figure_of  # noqa: E402
from fedpsma.evaluation.figures import measure  # noqa: E402
from fedpsma.evaluation.ratios import ratio_figures  # noqa: E402
from fedpsma.evaluation.sample import Sample  # noqa: E402
from fedpsma.federated.evaluation import federated_figures, site_evaluation, with_ranking  # noqa: E402
from fedpsma.federated.ranking import influence_of, pooled_ranking  # noqa: E402

SITES = ((1.0, 30), (1.5, 50), (2.0, 20))
"""Skill of the model and patients at each site."""

FIGURES = ("dice", "sensitivity_positive", "precision_positive", "false_positives_positive", "brier", "n_exact")
RANKINGS = ("average_precision", "sensitivity_at_1", "sensitivity_at_4")
COMPARED = 20


def main() -> None:
    """Simulate and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--federations", type=int, default=1000)
    parser.add_argument("--truth", type=int, default=200, help="times the patients of a federation in the known truth")
    options = parser.parse_args()
    truth = _truth(options.truth)
    found = [_federation(seed) for seed in track(range(1, options.federations + 1), "federations")]
    widths = [_pooled(seed) for seed in track(range(1, min(COMPARED, options.federations) + 1), "bootstrap")]
    Console(width=120).print(_table(truth, found, widths))


def _samples(seed: int, times: int = 1) -> list[Sample]:
    samples = []
    for number, (skill, patients) in enumerate(SITES):
        studies = made_up_studies(times * patients, 1000 * seed + number, skill=skill)
        samples.append(Sample.of(one.model_copy(update={"dataset": str(number)}) for one in studies))
    return samples


def _truth(times: int) -> dict[str, float]:
    pooled = _together(_samples(0, times))
    everybody = np.ones((1, pooled.patients))
    ratios = ratio_figures(pooled)
    exact = {name: float(ratios[name].values(everybody)[0]) for name in FIGURES}
    ranked = pooled.pooled("overlap")
    exact["average_precision"] = float(ranked.average_precision(everybody)[0])
    rates = [float(name.rpartition("_")[2]) for name in RANKINGS[1:]]
    return exact | dict(zip(RANKINGS[1:], map(float, ranked.sensitivity_at(everybody, rates)[0]), strict=True))


def _federation(seed: int) -> dict[str, Figure]:
    samples = _samples(seed)
    told = [
        site_evaluation(sample, site=str(number), contour="pct45", model_sha256="", synthetic=True)
        for number, sample in enumerate(samples)
    ]
    pooled = pooled_ranking([one.ranking for one in told if one.ranking is not None])
    answers = [one for one in (influence_of(sample, pooled) for sample in samples) if one is not None]
    return with_ranking(federated_figures(told), told, answers).together


def _pooled(seed: int) -> dict[str, Figure]:
    pooled = _together(_samples(seed))
    drawn = measure(pooled, draw_weights(pooled.patients, np.random.default_rng(seed)))
    return {name: figure_of(drawn[name]) for name in (*FIGURES, *RANKINGS)}


def _together(samples: Sequence[Sample]) -> Sample:
    return Sample.of(study for sample in samples for study in sample.studies)


def _table(truth: dict[str, float], found: list[dict[str, Figure]], pooled: list[dict[str, Figure]]) -> Table:
    table = Table(title=f"{len(found)} federations of {', '.join(str(patients) for _, patients in SITES)} patients")
    for column in ("figure", "truth", "mean", "coverage", "bar 93-97 %", "width / pooled bootstrap"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for name in (*FIGURES, *RANKINGS):
        values = [one[name].value for one in found]
        covered = np.mean([_covers(one[name], truth[name]) for one in found])
        ratio = np.mean([_width(one[name]) / _width(other[name]) for one, other in zip(found, pooled, strict=False)])
        verdict = "hit" if 0.93 <= covered <= 0.97 else "MISSED"
        row: list[Any] = [
            name,
            f"{truth[name]:.3f}",
            f"{np.mean(values):.3f}",
            f"{covered:.1%}",
            verdict,
            f"{ratio:.2f}",
        ]
        table.add_row(*row)
    return table


def _covers(figure: Figure, truth: float) -> bool:
    return figure.low is not None and figure.high is not None and figure.low <= truth <= figure.high


def _width(figure: Figure) -> float:
    return float("nan") if figure.low is None or figure.high is None else figure.high - figure.low


if __name__ == "__main__":
    main()
