"""Who trains at which simulated site and who is held out: decided before anything is written."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from fedpsma.contract import FederationSite
from fedpsma.errors import InputError
from fedpsma.training.subject import PatientData
from server.simulation.config import Partition, SimulationConfig
from server.simulation.partition import partition


@dataclass(frozen=True)
class Share:
    """What a simulated site is to get: patients of a source, some of whom nobody trains on.

    ``of_pool`` says that the source holds the patients of all sites, ``attacks`` that the site harms the others.
    """

    name: str
    source: PatientData
    training: tuple[str, ...]
    held_out: tuple[str, ...]
    of_pool: bool
    attacks: bool

    @property
    def fingerprint(self) -> str:
        """What changes as soon as another patient trains or is held out (SHA-256)."""
        told = json.dumps([self.training, self.held_out], ensure_ascii=False)
        return hashlib.sha256(told.encode()).hexdigest()


def deal(config: SimulationConfig) -> tuple[Share, ...]:
    """Return what every site is to get, in the order of the given data sets.

    Raises:
        InputError: A data set cannot be read, two belong to one site, or there are too few patients.
    """
    opened = [config.subject.open(path) for path in config.datasets]
    if config.partition is None:
        of_each = {name: (data, data.patients) for name, data in _by_site(opened).items()}
    else:
        pool = config.subject.joined(opened, "pool", None)
        dealt = _dealt_out(pool, config.partition, config)
        of_each = {name: (pool, patients) for name, patients in dealt.items()}
    attackers = config.attack.attackers(list(of_each)) if config.attack else ()
    return tuple(
        _divided(Share(name, source, tuple(patients), (), config.partition is not None, name in attackers), config)
        for name, (source, patients) in of_each.items()
    )


def _by_site(opened: Sequence[PatientData]) -> dict[str, PatientData]:
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
    return sites


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


def _dealt_out(pool: PatientData, rule: Partition, config: SimulationConfig) -> dict[str, tuple[str, ...]]:
    kind = rule.by if rule.by in ("scanner", "tracer") else rule.label
    # Where all are dealt out alike, nothing has to be known of them.
    labels = {
        patient: "" if rule.by == "size" else config.subject.label(pool, patient, kind) for patient in pool.patients
    }
    return partition(labels, rule, config.plan.seed or 0)


def _divided(share: Share, config: SimulationConfig) -> Share:
    """Hold some patients of a site out, where models are to be judged."""
    if not config.held_out_share:
        return share
    patients = sorted(share.training)
    count = max(1, round(config.held_out_share * len(patients)))
    if count >= len(patients):
        where = f"site {share.name}" if share.of_pool else str(share.source.folder)
        raise InputError("has too few patients to hold any out", where=where, remedy="set held_out = 0")
    chosen = set(random.Random(f"held out/{config.plan.seed or 0}/{share.name}").sample(patients, count))
    training = tuple(one for one in patients if one not in chosen)
    return Share(share.name, share.source, training, tuple(sorted(chosen)), share.of_pool, share.attacks)
