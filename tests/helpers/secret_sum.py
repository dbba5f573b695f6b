"""Sites and a server in one process, to play a session of secure aggregation stage by stage."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.masking import Participant
from fedpsma.contract import SecureAggregation
from fedpsma.secure_aggregation.identity import KEYS_FILE, KeyBook
from fedpsma.secure_aggregation.messages import Session, UnmaskOrder
from server.unmasking import MaskedSum

Vectors = Mapping[str, NDArray[np.float64]]


def session_of(sites: Collection[str], norm: float = 1.0, number: int = 1) -> Session:
    """Return a new session of these sites."""
    token = secrets.token_hex(32)
    bounds = SecureAggregation(update_norm=norm, largest_change=norm)
    return Session(run="run", round=number, token=token, sites=tuple(sorted(sites)), bounds=bounds)


@dataclass
class Theatre:
    """Sites with state folders, and who of them falls silent before which stage."""

    folder: Path
    names: tuple[str, ...]
    silent: Mapping[str, str] = field(default_factory=dict)

    def participant(self, name: str) -> Participant:
        """Return a site as a new process would, from what is on its disk."""
        state = self.folder / name
        return Participant(name, state, KeyBook(state / KEYS_FILE, {}), "run")

    def there(self, names: Collection[str], stage: str) -> list[str]:
        """Return the sites that answer in a stage."""
        stages = ("advertise", "share", "mask", "agree", "unmask")
        gone = {name for name, since in self.silent.items() if stages.index(since) <= stages.index(stage)}
        return sorted(set(names) - gone)

    def masked(self, session: Session, updates: Vectors, weights: Mapping[str, float] | None = None) -> MaskedSum:
        """Play all stages up to the masked sum."""
        size = len(next(iter(updates.values()))) + 1
        adverts = {name: self.participant(name).advertise(session) for name in self.there(self.names, "advertise")}
        total = MaskedSum.of(session, adverts, size)
        for name in self.there(adverts, "share"):
            total.deal(self.participant(name).share(total.roster))
        orders = total.mask_orders()
        for name in self.there(orders, "mask"):
            sealed = self.participant(name).open_session(orders[name])
            total.add(name, sealed.mask(updates[name], (weights or {}).get(name, 1.0)))
        return total

    def agreed(self, total: MaskedSum) -> UnmaskOrder:
        """Let the survivors sign and return the order to unmask."""
        listed = total.survivor_list()
        for name in self.there(listed.survivors, "agree"):
            total.agree(self.participant(name).agree(listed))
        return total.unmask_order()

    def unmask(self, total: MaskedSum) -> tuple[NDArray[np.float64], float]:
        """Play the last two stages and return the mean and the weight."""
        order = self.agreed(total)
        for name in self.there(order.signatures, "unmask"):
            total.reveal(self.participant(name).unmask(order))
        return total.mean()


def updates_of(names: Collection[str], size: int, norm: float = 1.0, seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Return one random update a site, just within the norm."""
    rng = np.random.default_rng(seed)
    vectors = {name: rng.normal(size=size) for name in sorted(names)}
    return {name: 0.99 * norm * vector / np.linalg.norm(vector) for name, vector in vectors.items()}
