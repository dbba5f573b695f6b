"""Federated statistics: what a site tells of its patients before training, and the sum over sites."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import resources
from statistics import median

import numpy as np
from pydantic import BaseModel, ConfigDict

from fedpsma.domain.contour import ContourConvention
from fedpsma.federated.disclosure import LEAST_PATIENTS, told
from fedpsma.io.dataset import DatasetInfo
from fedpsma.site_check.summary import ContourSummary, StudySummary

UNKNOWN = "unknown"
Counts = tuple[int | None, ...]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bins(_Record):
    """One histogram: ``edges`` part the values into one bin more than there are edges, both ends open."""

    name: str
    title: str
    edges: tuple[float, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The bins in words.

        Example:
            >>> Bins(name="x", title="x", edges=(1.0, 2.5)).labels
            ('below 1', '1 to 2.5', 'from 2.5')
        """
        between = zip(self.edges, self.edges[1:], strict=False)
        middle = (f"{low:g} to {high:g}" for low, high in between)
        return (f"below {self.edges[0]:g}", *middle, f"from {self.edges[-1]:g}")


class StatisticsTable(_Record):
    """``data/bins.json``."""

    note: str
    version: int
    makers: tuple[str, ...]
    histograms: tuple[Bins, ...]


class SiteStatistics(_Record):
    """What leaves a site before training; every count is of patients, rounded to fives, ``None`` for fewer than five.

    ``counts`` are by kind ("tracer", "maker", "data") and name, names of fewer than five patients left out; a patient
    with studies of two tracers counts for both.
    ``histograms`` are by name, bins as ``data/bins.json`` of ``version`` has them, each patient in one bin of each.
    ``contour`` is what the site declares, ``contour_followed`` the threshold that its outlines follow closely.
    """

    version: int
    site: str
    synthetic: bool
    contour: ContourConvention
    contour_followed: ContourConvention | None
    patients: int | None
    counts: dict[str, dict[str, int]]
    histograms: dict[str, Counts]


@cache
def statistics_table() -> StatisticsTable:
    """Return the fixed bins and names."""
    text = resources.files(__package__).joinpath("data/bins.json").read_text("utf-8")
    return StatisticsTable.model_validate_json(text)


def site_statistics(info: DatasetInfo, contour: ContourSummary, studies: Sequence[StudySummary]) -> SiteStatistics:
    """Return what a site may tell of its studies, as :func:`fedpsma.site_check.check.check_dataset` summed them up."""
    patients: dict[str, list[StudySummary]] = defaultdict(list)
    for study in studies:
        patients[study.patient].append(study)
    enough = len(patients) >= LEAST_PATIENTS
    return SiteStatistics(
        version=statistics_table().version,
        site=info.site,
        synthetic=info.synthetic,
        contour=info.contour,
        contour_followed=contour.suggested if enough else None,
        patients=told(len(patients)),
        counts={kind: _counted(patients.values(), of) for kind, of in _KINDS.items()},
        histograms={bins.name: _histogram(patients.values(), bins) for bins in statistics_table().histograms},
    )


def add_up(counts: Iterable[int | None]) -> int:
    """Return the sum of what was told; what was withheld is left out."""
    return sum(count or 0 for count in counts)


def _counted(patients: Iterable[list[StudySummary]], of: Callable[[StudySummary], set[str]]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for studies in patients:
        for name in set().union(*map(of, studies)):
            found[name] += 1
    # A name with a withheld count would tell that there is somebody.
    rounded = {name: told(count) for name, count in sorted(found.items())}
    return {name: count for name, count in rounded.items() if count is not None}


def _maker(study: StudySummary) -> set[str]:
    """Return the maker by a fixed list: what else stands in a scanner's name could name a hospital or a person."""
    scanner = (study.scanner or "").lower()
    if not scanner:
        return {UNKNOWN}
    return {next((maker for maker in statistics_table().makers if maker.lower() in scanner), "other")}


def _data(study: StudySummary) -> set[str]:
    parts = {
        "CT that fits": study.body_overlap is not None,
        "lesion mask": study.lesion_ml is not None,
        "mask without a lesion": study.lesion_ml == (),
        "PET not in SUV": not study.is_suv,
    }
    return {name for name, holds in parts.items() if holds}


_KINDS: dict[str, Callable[[StudySummary], set[str]]] = {
    "tracer": lambda study: {study.tracer or UNKNOWN},
    "maker": _maker,
    "data": _data,
}


def _suv(study: StudySummary, value: float | None) -> float | None:
    return value if study.is_suv else None


def _lesion_suv(study: StudySummary) -> float | None:
    return _suv(study, max(study.lesion_suvmax)) if study.lesion_suvmax else None


_VALUES: dict[str, Callable[[StudySummary], float | None]] = {
    "body_mean_suv": lambda study: _suv(study, study.body_mean),
    "liver_suv": lambda study: None if study.liver is None else _suv(study, study.liver.mean),
    "blood_pool_suv": lambda study: None if study.blood_pool is None else _suv(study, study.blood_pool.mean),
    "voxel_ml": lambda study: None if study.spacing_mm is None else float(np.prod(study.spacing_mm)) / 1000,
    "length_mm": lambda study: study.length_mm,
    "lesions": lambda study: None if study.lesion_ml is None else float(len(study.lesion_ml)),
    "tumour_ml": lambda study: sum(study.lesion_ml) if study.lesion_ml else None,
    "hottest_suv": _lesion_suv,
    "median_lesion_ml": lambda study: median(study.lesion_ml) if study.lesion_ml else None,
}


def _histogram(patients: Iterable[list[StudySummary]], bins: Bins) -> Counts:
    found = np.zeros(len(bins.edges) + 1, dtype=np.intp)
    for studies in patients:
        known = [value for value in map(_VALUES[bins.name], studies) if value is not None]
        if known:
            found[np.searchsorted(bins.edges, median(known), side="right")] += 1
    return tuple(told(int(count)) for count in found)
