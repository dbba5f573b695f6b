"""The data of the simulated sites: as it was given, dealt out anew, without the held-out patients, poisoned.

What differs from the given folders is written below the run folder by what is trained
(:class:`fedpsma.training.subject.Subject`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedpsma.contract import FederationSite
from fedpsma.errors import InputError
from fedpsma.training.subject import PatientData, Subject
from server.simulation.config import Partition, SimulationConfig
from server.simulation.partition import partition
from server.simulation.poison import poisoned


@dataclass(frozen=True)
class SiteData:
    """What a simulated site trains on, and the patients that nobody trains on; ``None`` where all of them train.

    ``clean`` is what it trains on with its true labels.
    """

    name: str
    training: PatientData
    clean: PatientData
    held_out: PatientData | None


def site_data(config: SimulationConfig) -> tuple[SiteData, ...]:
    """Return the data of every site, in the order of the given data sets.

    Raises:
        InputError: A data set cannot be read, two belong to one site, or there are too few patients.
    """
    opened = [config.subject.open(path) for path in config.datasets]
    whole = _sites_of(opened) if config.partition is None else _dealt_out(opened, config.partition, config)
    divided = [_divided(one, config) for one in whole]
    if config.attack is None or config.attack.kind != "label_flip":
        return tuple(divided)
    attackers = config.attack.attackers([one.name for one in divided])
    return tuple(
        replace(one, training=poisoned(one.training, config.out / "data" / one.name / "poisoned"))
        if one.name in attackers
        else one
        for one in divided
    )


def pooled(sites: Sequence[SiteData], folder: Path, subject: Subject[Any]) -> PatientData:
    """Write the training patients of all sites, with their true labels, as those of one."""
    joined: PatientData = subject.joined([one.clean for one in sites], "pooled", folder)
    return joined


def _sites_of(opened: Sequence[PatientData]) -> list[PatientData]:
    sites: dict[str, PatientData] = {}
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


def _checked(dataset: PatientData) -> str:
    """Return the name of a data set's site, which becomes the name of folders."""
    try:
        return FederationSite(name=dataset.site).name
    except ValidationError as error:
        raise InputError(
            f"site {dataset.site!r} is not a name of letters, digits, spaces, dots, hyphens and underscores",
            where=str(dataset.folder),
            remedy="correct the field site there",
        ) from error


def _dealt_out(opened: Sequence[PatientData], rule: Partition, config: SimulationConfig) -> list[PatientData]:
    subject = config.subject
    whole = subject.joined(opened, "pool", None)
    kind = rule.by if rule.by in ("scanner", "tracer") else rule.label
    # Where all are dealt out alike, nothing has to be known of them.
    labels = {patient: "" if rule.by == "size" else subject.label(whole, patient, kind) for patient in whole.patients}
    return [
        subject.part(whole, patients, name, config.out / "data" / name / "all")
        for name, patients in partition(labels, rule, config.plan.seed or 0).items()
    ]


def _divided(dataset: PatientData, config: SimulationConfig) -> SiteData:
    name, share = dataset.site, config.held_out_share
    if not share:
        return SiteData(name, dataset, dataset, None)
    patients = list(dataset.patients)
    count = max(1, round(share * len(patients)))
    if count >= len(patients):
        raise InputError("has too few patients to hold any out", where=str(dataset.folder), remedy="set held_out = 0")
    chosen = set(random.Random(f"held out/{config.plan.seed or 0}/{name}").sample(patients, count))
    folder, subject = config.out / "data" / name, config.subject
    training = subject.part(dataset, set(patients) - chosen, name, folder / "training")
    return SiteData(name, training, training, subject.part(dataset, chosen, name, folder / "held_out"))
