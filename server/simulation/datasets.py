"""The data sets of the simulated sites: as they were given, dealt out anew, without the held-out patients, poisoned.

What differs from the given folders is written below the run folder as an index whose rows name the given volumes, so
that no volume is copied.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from fedpsma.contract import FederationSite
from fedpsma.errors import InputError
from fedpsma.io.dataset import Dataset, DatasetInfo, StudyRow, read_dataset, write_dataset
from server.simulation.config import Partition, SimulationConfig
from server.simulation.partition import partition
from server.simulation.poison import poisoned

UNKNOWN = "unknown"


@dataclass(frozen=True)
class SiteData:
    """What a simulated site trains on, and the patients that nobody trains on; ``None`` where all of them train.

    ``clean`` is what it trains on with its true labels.
    """

    name: str
    training: Dataset
    clean: Dataset
    held_out: Dataset | None


def site_data(config: SimulationConfig) -> tuple[SiteData, ...]:
    """Return the data of every site, in the order of the given data sets.

    Raises:
        InputError: A data set cannot be read, two belong to one site, or there are too few patients.
    """
    opened = [read_dataset(path) for path in config.datasets]
    seed = config.plan.seed or 0
    whole = _sites_of(opened) if config.partition is None else _dealt_out(opened, config.partition, seed, config.out)
    divided = [_divided(one, config.held_out_share, seed, config.out) for one in whole]
    if config.attack is None or config.attack.kind != "label_flip":
        return tuple(divided)
    attackers = config.attack.attackers([one.name for one in divided])
    return tuple(
        replace(one, training=poisoned(one.training, config.out / "data" / one.name / "poisoned"))
        if one.name in attackers
        else one
        for one in divided
    )


def pooled(sites: Sequence[SiteData], folder: Path) -> Dataset:
    """Write the training patients of all sites, with their true labels, as one data set."""
    return _joined([one.clean for one in sites], "pooled", folder)


def _sites_of(opened: Sequence[Dataset]) -> list[Dataset]:
    sites: dict[str, Dataset] = {}
    for dataset in opened:
        name = _checked(dataset)
        if name in sites:
            raise InputError(
                f"belongs to site {name!r}, like {sites[name].folder}",
                where=str(dataset.folder),
                remedy="give one data set a site",
            )
        sites[name] = dataset
    return list(sites.values())


def _checked(dataset: Dataset) -> str:
    """Return the name of a data set's site, which becomes the name of folders."""
    try:
        return FederationSite(name=dataset.info.site).name
    except ValidationError as error:
        raise InputError(
            f"site {dataset.info.site!r} is not a name of letters, digits, spaces, dots, hyphens and underscores",
            where=str(dataset.folder / "dataset.json"),
            remedy="correct the field site",
        ) from error


def _dealt_out(opened: Sequence[Dataset], rule: Partition, seed: int, out: Path) -> list[Dataset]:
    whole = _joined(opened, "pool", None)
    kind = rule.by if rule.by in ("scanner", "tracer") else rule.label
    labels = {patient: _label(whole.rows_of(patient), kind) for patient in whole.patients}
    return [
        _part(whole, patients, name, out / "data" / name / "all")
        for name, patients in partition(labels, rule, seed).items()
    ]


def _label(rows: Sequence[StudyRow], kind: str) -> str:
    """Return what most studies of a patient have, so that he comes to one site with all of them."""
    found = [str(getattr(row, kind) or UNKNOWN) for row in rows]
    return max(sorted(set(found)), key=found.count)


def _divided(dataset: Dataset, share: float, seed: int, out: Path) -> SiteData:
    name = dataset.info.site
    if not share:
        return SiteData(name, dataset, dataset, None)
    patients = list(dataset.patients)
    count = max(1, round(share * len(patients)))
    if count >= len(patients):
        raise InputError("has too few patients to hold any out", where=str(dataset.folder), remedy="set held_out = 0")
    chosen = set(random.Random(f"held out/{seed}/{name}").sample(patients, count))
    folder = out / "data" / name
    training = _part(dataset, [one for one in patients if one not in chosen], name, folder / "training")
    return SiteData(name, training, training, _part(dataset, chosen, name, folder / "held_out"))


def _part(dataset: Dataset, patients: Iterable[str], site: str, folder: Path) -> Dataset:
    wanted = set(patients)
    info = dataset.info.model_copy(update={"site": site, "name": f"{dataset.info.name} {site}"})
    return write_dataset(folder, info, [_placed(row, dataset) for row in dataset.rows if row.patient in wanted])


def _joined(datasets: Sequence[Dataset], name: str, folder: Path | None) -> Dataset:
    """Join data sets; pseudonyms and ids get the site's name in front where there are several.

    Without a ``folder`` nothing is written, and the rows name the given volumes all the same.
    """
    rows = []
    for dataset in datasets:
        front = f"{dataset.info.site}/" if len(datasets) > 1 else ""
        for row in dataset.rows:
            own = {"id": f"{front}{row.id}", "patient": f"{front}{row.patient}"}
            rows.append(_placed(row, dataset).model_copy(update=own))
    info = _common(datasets, name)
    return Dataset(Path(), info, tuple(rows)) if folder is None else write_dataset(folder, info, rows)


def _common(datasets: Sequence[Dataset], name: str) -> DatasetInfo:
    contours = {one.info.contour for one in datasets}
    return DatasetInfo(
        name=name,
        site=name,
        contour=contours.pop() if len(contours) == 1 else "manual",
        synthetic=all(one.info.synthetic for one in datasets),
    )


def _placed(row: StudyRow, dataset: Dataset) -> StudyRow:
    """Return a row that holds wherever it stands: whole paths, and the tracer of its data set."""
    here = dataset.folder.resolve()
    paths = {kind: getattr(row, kind) for kind in ("pet", "ct", "mask", "anatomy", "sidecar")}
    whole = {kind: str(here / path) for kind, path in paths.items() if path is not None}
    return row.model_copy(update={**whole, "tracer": row.tracer or dataset.info.tracer})
