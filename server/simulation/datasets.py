"""The data of the simulated sites: as it was given, dealt out anew, without the held-out patients, poisoned.

What differs from the given folders is written below the run folder by what is trained
(:class:`fedpsma.training.subject.Subject`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedpsma.training.subject import PatientData, Subject
from server.simulation.config import SimulationConfig
from server.simulation.dealing import Share, deal
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
    """Return the data of every site, in the order of the given data sets; what is not there yet is written.

    Raises:
        InputError: A data set cannot be read, two belong to one site, or there are too few patients.
    """
    return written(config, deal(config))


def written(config: SimulationConfig, shares: Sequence[Share]) -> tuple[SiteData, ...]:
    """Write the data of the sites into the run folder where it is not simply what was given.

    Raises:
        InputError: Labels are to be flipped, and a study has none.
    """
    return tuple(_written(config, share) for share in shares)


def _written(config: SimulationConfig, share: Share) -> SiteData:
    folder, subject = config.out / "data" / share.name, config.subject

    def part(patients: Sequence[str], name: str) -> PatientData:
        found: PatientData = subject.part(share.source, set(patients), share.name, folder / name)
        return found

    clean = share.source
    if share.held_out:
        clean = part(share.training, "training")
    elif share.of_pool:
        clean = part(share.training, "all")
    held_out = part(share.held_out, "held_out") if share.held_out else None
    flips = share.attacks and config.attack is not None and config.attack.kind == "label_flip"
    training = poisoned(clean, folder / "poisoned") if flips else clean
    return SiteData(share.name, training, clean, held_out)


def pooled(sites: Sequence[SiteData], folder: Path, subject: Subject[Any]) -> PatientData:
    """Write the training patients of all sites, with their true labels, as those of one."""
    joined: PatientData = subject.joined([one.clean for one in sites], "pooled", folder)
    return joined
