"""From the figures of a cohort to checks with limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fedpsma.phantom.realism.classifier import Vectors, separability
from fedpsma.phantom.realism.cost import Cost
from fedpsma.phantom.realism.figures import PatientFigures
from fedpsma.phantom.realism.reference import Reference
from fedpsma.phantom.realism.report import Check, Figure
from fedpsma.phantom.realism.targets import GeometryRow, NoiseFamily, Range, SuvRow, targets
from fedpsma.phantom.recovery import recovery_coefficients
from fedpsma.phantom.scanner import draw_exposure
from fedpsma.phantom.sites import site_profile

Cohort = Sequence[PatientFigures]
_ORGAN_SUV = "organ SUV (mean within 10 %, SD within 25 %)"
_NOISE = "liver noise (within 20 %)"
_NO_REFERENCE = "not measured: name a folder with rows of real patients"
_ATTRIBUTES = {"mean_trunc3": ("mean_trunc3",), "median and p90": ("median_trunc3", "p90_trunc3")}
_COLUMNS = {"mean_trunc3": ("mean_trunc3",), "median and p90": ("median", "p90")}
_FUROSEMIDE = {None: "", True: ", with furosemide", False: ", without furosemide"}
# The fewest of each kind that a five-fold cross-validation can say something about.
_LEAST_ROWS = 10


def organ_suv_checks(cohort: Cohort) -> Iterator[Check]:
    """Compare mean and SD over the patients of a tracer with the table."""
    table = targets().organ_suv
    for row in table.rows:
        values = _organ_values(cohort, row)
        mean = float(np.mean(values)) if len(values) else None
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        figures = [_within("mean", mean, row.mean, table.mean_tolerance)]
        if row.sd is not None:
            figures.append(_within("SD", sd, row.sd, table.sd_tolerance))
        error = f", mean +-{sd / np.sqrt(len(values)):.2g}" if sd is not None else ""
        yield Check(
            section=_ORGAN_SUV,
            name=f"{row.tracer} {row.organ}, {row.measure}{_FUROSEMIDE[row.furosemide]}",
            figures=tuple(figures),
            tag=row.tag,
            source=row.source,
            note=f"n {len(values)}{error}",
        )


def _organ_values(cohort: Cohort, row: SuvRow) -> list[float]:
    people = [one for one in cohort if one.tracer == row.tracer and row.furosemide in (None, one.furosemide)]
    values = [getattr(one.organs[row.organ], row.measure) for one in people if row.organ in one.organs]
    return [value for value in values if value is not None]


def _within(label: str, value: float | None, aim: Range, tolerance: float, digits: int = 2) -> Figure:
    """Return a figure that may lie off its aim, or off the nearer end of it, by a relative tolerance."""
    low, high = aim[0] * (1 - tolerance), aim[1] * (1 + tolerance)
    return Figure(label=label, value=value, target=_span(aim, digits), low=low, high=high)


def _span(aim: Range, digits: int = 2) -> str:
    low, high = (f"{one:.{digits}f}" for one in aim)
    return low if low == high else f"{low}-{high}"


def liver_noise_checks(cohort: Cohort) -> Iterator[Check]:
    """Compare variation and in-plane autocorrelation in the liver with those of real scanners."""
    table = targets().noise
    for family in table.families:
        livers = [(one.site, one.liver) for one in cohort if one.site in family.sites and one.liver is not None]
        cv = float(np.mean([liver.cv for _, liver in livers])) if livers else None
        yield Check(
            section=_NOISE,
            name=f"{family.name}, sites {' and '.join(family.sites)}: CV",
            figures=(_within("CV", cv, (family.cv, family.cv), table.tolerance, 3),),
            tag=family.tag,
            source=family.source,
            note=f"n {len(livers)}",
        )
        for site in family.sites:
            yield _acf_check(family, site, [liver.acf for name, liver in livers if name == site])
    yield from _robust_checks(cohort)


def _acf_check(family: NoiseFamily, site: str, measured: Sequence[Sequence[tuple[float, float]]]) -> Check:
    table = targets().noise
    figures = []
    for points in zip(*measured, strict=True):
        lag, value = points[0][0], float(np.mean([acf for _, acf in points]))
        aim = acf_target(family, lag)
        if aim is None:
            break
        slack = (
            (table.tolerance_low,) * 2 if aim[1] < table.low else (table.tolerance * aim[0], table.tolerance * aim[1])
        )
        limits = {"low": aim[0] - slack[0], "high": aim[1] + slack[1]}
        figures.append(Figure(label=f"{lag:.1f} mm", value=value, target=_span(aim), **limits))
    return Check(
        section=_NOISE,
        name=f"{family.name}, site {site}: in-plane autocorrelation",
        figures=tuple(figures),
        tag=family.tag,
        source=family.source,
        note=f"n {len(measured)}",
    )


def acf_target(family: NoiseFamily, lag_mm: float) -> Range | None:
    """Return the autocorrelation to expect at a lag, ``None`` beyond the largest measured one.

    Between the measured lags its logarithm runs linearly in the squared lag, as for Gaussian noise texture.
    """
    lags = np.array([0.0, *(lag for lag, _, _ in family.acf)])
    if lag_mm > lags[-1]:
        return None
    low, high = (
        float(np.exp(np.interp(lag_mm**2, lags**2, np.log([1.0, *(point[column] for point in family.acf)]))))
        for column in (1, 2)
    )
    return low, high


def _robust_checks(cohort: Cohort) -> Iterator[Check]:
    table = targets().noise
    for site, aim in table.robust.sites.items():
        livers = [one.organs.get("liver") for one in cohort if one.site == site and one.tracer == table.robust.tracer]
        values = [liver.robust_cv for liver in livers if liver is not None and liver.robust_cv is not None]
        measured = float(np.median(values)) if values else None
        yield Check(
            section=_NOISE,
            name=f"site {site}, {table.robust.tracer}: robust CV of the whole liver",
            figures=(_within("robust CV", measured, (aim, aim), table.tolerance, 3),),
            tag=table.robust.tag,
            source=table.robust.source,
            note=f"n {len(values)}",
        )


def lesion_volume_check(cohort: Cohort) -> Check:
    """Compare the quartiles of the true lesion volume over all PSMA patients with the published ones."""
    table = targets().lesion_volume_ml
    volumes = [volume for one in cohort if one.tracer.facts.targets_psma for volume in one.lesion_volumes_ml]
    found = np.percentile(volumes, [25, 50, 75]) if volumes else [None] * 3
    figures = [
        _within(label, None if value is None else float(value), (aim, aim), table.tolerance)
        for label, value, aim in zip(("25 %", "median", "75 %"), found, table.quartiles, strict=True)
    ]
    return Check(
        section=f"lesion volume (ml, within {table.tolerance:.0%})",
        name="quartiles of the true volume",
        figures=tuple(figures),
        tag=table.tag,
        source=table.source,
        note=f"n {len(volumes)} lesions",
    )


def recovery_checks() -> Iterator[Check]:
    """Image hot spheres with the scanner of each site and tracer; hold some recoveries to those of real scanners."""
    table = targets().recovery
    for site in table.sites:
        profile = site_profile(site)
        for tracer in profile.tracers:
            exposure = draw_exposure(np.random.default_rng(0), profile, tracer)
            found = recovery_coefficients(exposure, profile.spacing_mm, table.contrast)
            limits = {diameter: table.limits.get(int(diameter), (None, None)) for diameter in found}
            yield Check(
                section="recovery of the maximum (spheres in a warm background)",
                name=f"site {site}, {tracer}",
                figures=tuple(
                    Figure(
                        label=f"{diameter:g} mm",
                        value=recovery.maximum,
                        target="shown" if limits[diameter][0] is None else "-".join(map(str, limits[diameter])),
                        low=limits[diameter][0],
                        high=limits[diameter][1],
                    )
                    for diameter, recovery in found.items()
                ),
                tag=table.tag,
                source=table.source,
                note="mean A50 " + " ".join(f"{recovery.mean_a50:.2f}" for recovery in found.values()),
            )


def geometry_checks(cohort: Cohort, reference: Reference | None) -> Iterator[Check]:
    """Compare volumes and places of organs with real organ maps by the Kolmogorov-Smirnov distance."""
    table = targets().geometry
    people = [one.geometry for one in cohort if one.tracer.facts.targets_psma]
    for row in table.rows:
        values = np.array([one[row.name] for one in people if row.name in one])
        real = None if reference is None else reference.geometry.get(row.name)
        distance = _distance(row, values, real) if len(values) > 1 else None
        limit = table.limit if row.barred else None
        spread = f"{values.mean():.1f} +- {values.std(ddof=1):.1f}" if len(values) > 1 else "-"
        yield Check(
            section="anatomy (Kolmogorov-Smirnov distance; ml, mm)",
            name=row.name,
            figures=(Figure(label="D", value=distance, target=f"< {table.limit}" if limit else "shown", high=limit),),
            tag=table.tag,
            source=table.source,
            note=f"real {row.mean:.1f} +- {row.sd:.1f}, phantom {spread}, n {len(values)}",
        )


def _distance(row: GeometryRow, values: NDArray[np.float64], real: NDArray[np.float64] | None) -> float:
    if real is not None and len(real):
        return float(stats.ks_2samp(values, real).statistic)
    return ks_from_quantiles(values, row.quantiles, targets().geometry.levels)


def ks_from_quantiles(values: NDArray[np.float64], quantiles: Sequence[float], levels: Sequence[int]) -> float:
    """Return the largest distance between a sample's distribution and quantiles of another, at these quantiles.

    It is at most the Kolmogorov-Smirnov distance, and less than it by no more than the step between the levels.

    Example:
        >>> ks_from_quantiles(np.arange(100.0), [9.5, 49.5], [10, 50])
        0.0
    """
    below = np.searchsorted(np.sort(values), quantiles, side="right") / len(values)
    return float(np.abs(below - np.array(levels) / 100).max())


def classifier_checks(cohort: Cohort, reference: Reference | None, seed: int) -> Iterator[Check]:
    """Let classifiers tell real organ-SUV vectors from synthetic ones; the strongest has to keep the limit."""
    table = targets().classifier
    for group, tracer in table.groups.items():
        people = [one for one in cohort if one.tracer == tracer]
        rows = {} if reference is None else reference.suv.get(group, {})
        for variant, columns in _COLUMNS.items():
            note, found = _NO_REFERENCE, {}
            if rows:
                real = np.hstack([rows[column] for column in columns])
                note = f"{len(real)} real, {len(people)} synthetic"
                if min(len(real), len(people)) >= _LEAST_ROWS:
                    found = separability(real, _vectors(people, _ATTRIBUTES[variant]), table.repeats, seed)
            limit = table.auc_limit
            yield Check(
                section="classifier (AUC real against synthetic)",
                name=f"{group}, {variant}",
                figures=tuple(
                    Figure(label=name, value=auc, target=f"<= {limit}", high=limit) for name, auc in found.items()
                )
                or (Figure(label="AUC", value=None, target=f"<= {limit}", high=limit),),
                tag=table.tag,
                source=table.source,
                note=note,
            )


def _vectors(people: Cohort, attributes: Sequence[str]) -> Vectors:
    organs = targets().classifier.organs.values()
    return np.array(
        [
            [
                getattr(one.organs[organ], name) if organ in one.organs else np.nan
                for name in attributes
                for organ in organs
            ]
            for one in people
        ]
    )


def cost_check(cost: Cost) -> Check:
    """Hold time and memory of one patient against their bars."""
    bar = targets().cost
    figures = (
        Figure(label="s", value=cost.seconds, target=f"<= {bar.seconds:g}", high=bar.seconds),
        Figure(label="MiB", value=cost.memory_mib, target=f"<= {bar.memory_mib:g}", high=bar.memory_mib),
    )
    name = f"one patient of site {bar.site} at {bar.spacing_mm:g} mm"
    return Check(section="cost", name=name, figures=figures, tag=bar.tag, source=bar.source)
