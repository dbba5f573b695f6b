"""``evaluation.json``: every figure with its interval, by model and by group of studies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.stats import norm

from fedpsma import __version__
from fedpsma.domain.contour import ContourConvention
from fedpsma.domain.region import Region
from fedpsma.evaluation.agreement import Equivalence, confusion, equivalence
from fedpsma.evaluation.bootstrap import REPLICATES, Figure, Values, Weights, draw_weights, figure_of
from fedpsma.evaluation.calibration import ReliabilityBin
from fedpsma.evaluation.figures import Figures, figure_facts, forecasts_of, measure
from fedpsma.evaluation.origins import group_of
from fedpsma.evaluation.ratios import axis_of
from fedpsma.evaluation.records import StudyScores
from fedpsma.evaluation.sample import Sample
from fedpsma.evaluation.stages import M_LEVELS, N_LEVELS, T_LEVELS, m_level, n_level, t_level
from fedpsma.io.dataset import DatasetInfo

CAUTION = (
    "Research software: not a medical device, and no clinician has reviewed these figures. They hold for these studies "
    "and their masks alone."
)
AXES = ("T", "N", "M1a", "M1b", "M1c", "none")
_FROC_RATES = tuple(round(0.1 * step, 1) for step in range(81))
_MISTAKES_SHOWN = 12


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetTold(_Record):
    """What was evaluated on; ``contour`` is how foci were outlined, null where masks were given."""

    name: str
    site: str
    synthetic: bool
    contour: ContourConvention | None
    citation: str | None
    licence: str | None


class Curve(_Record):
    """A line for a plot; ``low`` and ``high`` are its 95 % band over patients, empty where it has none."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


class ConfusionTable(_Record):
    """Counts of true (rows) against found (columns) classes."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class RegionMistake(_Record):
    """A region that was taken for another, and how often."""

    true: Region
    found: Region
    lesions: int


class Group(_Record):
    """The figures of some of the studies: all, those of a tracer, or those of a data set."""

    kind: Literal["all", "tracer", "dataset"]
    name: str
    patients: int
    scans: int
    lesions: int
    foci: int
    uncontoured: int
    figures: dict[str, Figure]
    reliability: tuple[ReliabilityBin, ...] = ()


class ModelResult(_Record):
    """One model; ``groups`` begins with all studies. What the data do not know is null or empty."""

    name: str
    judged: bool
    epsilon: float | None
    groups: tuple[Group, ...]
    froc: Curve | None
    precision_recall: Curve | None
    volumes_ml: tuple[tuple[float, float], ...]
    volume_equivalence: Equivalence | None
    axes: ConfusionTable | None
    region_mistakes: tuple[RegionMistake, ...]
    stages: dict[Literal["T", "N", "M"], ConfusionTable]
    benign_per_scan: dict[str, float] | None


class Difference(_Record):
    """A figure of ``model`` minus that of ``reference`` on the same draws of patients.

    ``z`` is the difference over the standard deviation of its replicates, ``p`` its two-sided probability, ``adjusted``
    that after Bonferroni over all differences of the report; null where no replicate differs.
    """

    model: str
    reference: str
    figure: str
    difference: Figure
    z: float | None
    p: float | None
    adjusted: float | None


class Evaluation(_Record):
    """The whole report."""

    version: Literal[1] = 1
    software: str
    caution: str = CAUTION
    synthetic: bool
    datasets: tuple[DatasetTold, ...]
    replicates: int
    seed: int
    models: tuple[ModelResult, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Reading:
    """What one reader made of all studies."""

    name: str
    scores: tuple[StudyScores, ...]
    epsilon: float | None = None


@dataclass(frozen=True)
class ReportOptions:
    """How many draws of patients, and from which seed."""

    replicates: int = REPLICATES
    seed: int = 0


def tell(info: DatasetInfo, contour: ContourConvention | None = None) -> DatasetTold:
    """Return what the report says of a data set; ``contour`` outranks its own convention."""
    return DatasetTold(
        name=info.name,
        site=info.site,
        synthetic=info.synthetic,
        contour=contour or info.contour,
        citation=info.citation,
        licence=info.licence,
    )


def evaluate(
    readings: Sequence[Reading], datasets: Sequence[DatasetTold], options: ReportOptions | None = None
) -> Evaluation:
    """Compute the report.

    Args:
        readings: One for each model, all on the same studies.
        datasets: What they were evaluated on.
        options: See :class:`ReportOptions`.

    Raises:
        ValueError: The models were not evaluated on the same studies, or there is no model or no study.
    """
    options = options or ReportOptions()
    samples = [Sample.of(reading.scores) for reading in readings]
    studies = [[(study.patient, study.study_id) for study in sample.studies] for sample in samples]
    if not studies or not studies[0] or any(one != studies[0] for one in studies):
        raise ValueError("models can be compared only on the same studies, at least one")
    weights = draw_weights(samples[0].patients, np.random.default_rng(options.seed), options.replicates)
    whole = [measure(sample, weights) for sample in samples]
    parts = zip(readings, samples, whole, strict=True)
    return Evaluation(
        software=f"fedpsma {__version__}",
        synthetic=all(one.synthetic for one in datasets),
        datasets=tuple(datasets),
        replicates=options.replicates,
        seed=options.seed,
        models=tuple(_model(reading, sample, figures, weights, options) for reading, sample, figures in parts),
        differences=_differences([reading.name for reading in readings], whole),
    )


def _model(reading: Reading, sample: Sample, figures: Figures, weights: Weights, options: ReportOptions) -> ModelResult:
    true, found = ([getattr(one, name) for one in sample.studies] for name in ("true_ml", "found_ml"))
    return ModelResult(
        name=reading.name,
        judged=sample.has_probabilities,
        epsilon=reading.epsilon,
        groups=(_group("all", "all studies", sample, figures), *_groups(sample, options)),
        froc=_froc(sample, weights),
        precision_recall=_precision_recall(sample),
        volumes_ml=tuple(zip(true, found, strict=True)),
        volume_equivalence=equivalence(true, found, sample.owner.tolist()),
        axes=_axes(sample),
        region_mistakes=_region_mistakes(sample),
        stages=_stages(sample),
        benign_per_scan=_benign_per_scan(sample),
    )


def _groups(sample: Sample, options: ReportOptions) -> list[Group]:
    """Return the figures by tracer and by data set, where there is more than one."""
    found = []
    tracers = sorted({str(study.tracer or "unknown tracer") for study in sample.studies})
    for name in tracers if len(tracers) > 1 else ():
        found.append(_part("tracer", name, sample, options))
    datasets = sorted({study.dataset for study in sample.studies})
    for name in datasets if len(datasets) > 1 else ():
        found.append(_part("dataset", name, sample, options))
    return found


def _part(kind: Literal["tracer", "dataset"], name: str, sample: Sample, options: ReportOptions) -> Group:
    part = sample.part(
        lambda study: (study.dataset if kind == "dataset" else str(study.tracer or "unknown tracer")) == name
    )
    weights = draw_weights(part.patients, np.random.default_rng(options.seed), options.replicates)
    return _group(kind, name, part, measure(part, weights))


def _group(kind: Literal["all", "tracer", "dataset"], name: str, sample: Sample, figures: Figures) -> Group:
    judged = sample.has_probabilities
    return Group(
        kind=kind,
        name=name,
        patients=sample.patients,
        scans=len(sample.studies),
        lesions=len(sample.lesions),
        foci=len(sample.foci),
        uncontoured=sum(study.uncontoured for study in sample.studies),
        figures={one.name: figure_of(figures[one.name]) for one in figure_facts() if one.name in figures},
        reliability=forecasts_of(sample).reliability(sample.patients) if judged else (),
    )


def _froc(sample: Sample, weights: Weights) -> Curve | None:
    if not sample.has_probabilities or not sample.lesions:
        return None
    figures = [figure_of(values) for values in sample.pooled("overlap").sensitivity_at(weights, _FROC_RATES).T]
    return Curve(
        x=_FROC_RATES,
        y=tuple(one.value or 0.0 for one in figures),
        low=tuple(one.low if one.low is not None else one.value or 0.0 for one in figures),
        high=tuple(one.high if one.high is not None else one.value or 0.0 for one in figures),
    )


def _precision_recall(sample: Sample) -> Curve | None:
    if not sample.has_probabilities or not sample.lesions:
        return None
    recall, precision = sample.pooled("overlap").precision_recall()
    return None if recall.size == 0 else Curve(x=tuple(recall.tolist()), y=tuple(precision.tolist()))


def _axes(sample: Sample) -> ConfusionTable | None:
    pairs = [(one.true_region, one.region) for one in sample.lesions]
    known = [(axis_of(true), axis_of(found)) for true, found in pairs if true is not None and found is not None]
    return _table([true for true, _ in known], [found for _, found in known], AXES) if known else None


def _region_mistakes(sample: Sample) -> tuple[RegionMistake, ...]:
    pairs = Counter(
        (one.true_region, one.region)
        for one in sample.lesions
        if one.true_region is not None and one.region is not None and one.true_region != one.region
    )
    often = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_MISTAKES_SHOWN]
    return tuple(RegionMistake(true=true, found=found, lesions=count) for (true, found), count in often)


def _stages(sample: Sample) -> dict[Literal["T", "N", "M"], ConfusionTable]:
    stages = sample.stages
    if not stages:
        return {}
    return {
        "T": _table([t_level(one.true) for one in stages], [t_level(one.found) for one in stages], T_LEVELS),
        "N": _table([n_level(one.true) for one in stages], [n_level(one.found) for one in stages], N_LEVELS),
        "M": _table([m_level(one.true) for one in stages], [m_level(one.found) for one in stages], M_LEVELS),
    }


def _table(true: Sequence[str], found: Sequence[str], labels: Sequence[str]) -> ConfusionTable:
    counts = confusion(true, found, labels).astype(int).tolist()
    return ConfusionTable(labels=tuple(labels), counts=tuple(map(tuple, counts)))


def _benign_per_scan(sample: Sample) -> dict[str, float] | None:
    """Return how many benign foci of each group the truth names a scan: what there was to be mistaken."""
    if any(study.benign is None for study in sample.studies):
        return None
    total: Counter[str] = Counter()
    for study in sample.studies:
        for kind, count in (study.benign or {}).items():
            total[group_of(kind)] += count
    return {name: count / len(sample.studies) for name, count in sorted(total.items())}


def _differences(names: Sequence[str], whole: Sequence[Mapping[str, Values]]) -> tuple[Difference, ...]:
    """Compare every later model with the first in the headline figures that both have."""
    shown = [one.name for one in figure_facts() if one.headline]
    pairs = [(at, name) for at in range(1, len(names)) for name in shown if name in whole[0] and name in whole[at]]
    return tuple(
        _difference(names[at], names[0], name, whole[at][name] - whole[0][name], len(pairs)) for at, name in pairs
    )


def _difference(model: str, reference: str, figure: str, values: Values, comparisons: int) -> Difference:
    drawn = values[1:][np.isfinite(values[1:])]
    spread = float(drawn.std(ddof=1)) if drawn.size > 1 else 0.0
    z = float(values[0]) / spread if spread > 0 else None
    p = None if z is None else float(2 * norm.sf(abs(z)))
    return Difference(
        model=model,
        reference=reference,
        figure=figure,
        difference=figure_of(values),
        z=z,
        p=p,
        adjusted=None if p is None else min(1.0, p * comparisons),
    )
