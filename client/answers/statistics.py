"""The statistics that a site tells before training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from client.answers.releases import release
from fedpsma.federated.statistics import SiteStatistics, site_statistics
from fedpsma.io.dataset import Dataset
from fedpsma.site_check.check import check_dataset

NAME = "statistics"
CHECK_FOLDER = "check"


def statistics_of(
    dataset: Dataset, state: Path, *, workers: int = 1, on_study: Callable[[str], None] | None = None
) -> SiteStatistics:
    """Return what the site tells of its data set; studies that were checked before are not read again.

    Raises:
        InputError: What the site told before cannot be read.
    """

    def make() -> SiteStatistics:
        report = check_dataset(dataset, state / CHECK_FOLDER, workers=workers, on_study=on_study)
        return site_statistics(dataset.info, report.summary.contour, report.studies)

    return release(state, NAME, dataset, SiteStatistics, make)
