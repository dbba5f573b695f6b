"""Data sets made of the studies of others: their index names the given volumes, so that no volume is copied."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from fedpsma.io.dataset import Dataset, DatasetInfo, StudyRow, write_dataset


def part_of(dataset: Dataset, patients: Collection[str], site: str, folder: Path) -> Dataset:
    """Write the studies of some patients as the data set of a site."""
    info = dataset.info.model_copy(update={"site": site, "name": f"{dataset.info.name} {site}"})
    return write_dataset(folder, info, [placed(row, dataset) for row in dataset.rows if row.patient in patients])


def joined(datasets: Sequence[Dataset], name: str, folder: Path | None) -> Dataset:
    """Join data sets; pseudonyms and ids get the site's name in front where there are several.

    Without a ``folder`` nothing is written, and the rows name the given volumes all the same.
    """
    rows = []
    for dataset in datasets:
        front = f"{dataset.info.site}/" if len(datasets) > 1 else ""
        for row in dataset.rows:
            own = {"id": f"{front}{row.id}", "patient": f"{front}{row.patient}"}
            rows.append(placed(row, dataset).model_copy(update=own))
    info = _common(datasets, name)
    return Dataset(Path(), info, tuple(rows)) if folder is None else write_dataset(folder, info, rows)


def placed(row: StudyRow, dataset: Dataset) -> StudyRow:
    """Return a row that holds wherever it stands: whole paths, and the tracer of its data set."""
    here = dataset.folder.resolve()
    paths = {kind: getattr(row, kind) for kind in ("pet", "ct", "mask", "anatomy", "sidecar")}
    whole = {kind: str(here / path) for kind, path in paths.items() if path is not None}
    return row.model_copy(update={**whole, "tracer": row.tracer or dataset.info.tracer})


def _common(datasets: Sequence[Dataset], name: str) -> DatasetInfo:
    contours = {one.info.contour for one in datasets}
    return DatasetInfo(
        name=name,
        site=name,
        contour=contours.pop() if len(contours) == 1 else "manual",
        synthetic=all(one.info.synthetic for one in datasets),
    )
