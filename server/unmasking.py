"""The server's side of secure aggregation: it adds masked updates, and learns of them the sum of those that arrived.

No Flower and no files here: messages in, messages out. Whoever breaks the protocol is named, where it can be known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedpsma.contract import LEAST_HIDDEN_SITES
from fedpsma.secure_aggregation.agreement import AgreedList
from fedpsma.secure_aggregation.identity import KeyNotTrustedError
from fedpsma.secure_aggregation.masks import add_mask, mask_key, public_of
from fedpsma.secure_aggregation.messages import (
    Advert,
    Agreement,
    Dealing,
    MaskOrder,
    Revealed,
    Roster,
    Session,
    SurvivorList,
    UnmaskOrder,
)
from fedpsma.secure_aggregation.ring import Ring
from fedpsma.secure_aggregation.sharing import combine, digest


class FalseShareError(Exception):
    """A site revealed shares that are not those it was dealt."""


class UnmaskingError(Exception):
    """There is no sum."""


class TooFewSitesError(UnmaskingError):
    """Fewer sites are left than the protocol needs."""


class BrokenSecretError(UnmaskingError):
    """Sites dealt shares that others cannot read, or that give another secret than the one committed to."""

    def __init__(self, *sites: str) -> None:
        super().__init__(f"{', '.join(sites)} dealt false shares")
        self.sites = sites


def require_sites(left: int, needed: int) -> None:
    """Raise :class:`TooFewSitesError` where fewer sites are left than are needed, or than three."""
    needed = max(LEAST_HIDDEN_SITES, needed)
    if left < needed:
        raise TooFewSitesError(f"secure aggregation needs {needed} sites to the end of a round, {left} are left")


@dataclass
class MaskedSum:
    """The sum of one session, as it grows; memory of one update however many sites there are.

    ``least`` is the fewest sites that the plan lets it be of.
    """

    session: Session
    roster: Roster
    total: Ring
    least: int = LEAST_HIDDEN_SITES
    dealings: dict[str, Dealing] = field(default_factory=dict)
    survivors: list[str] = field(default_factory=list)
    signatures: dict[str, str] = field(default_factory=dict)
    revealed: dict[str, Revealed] = field(default_factory=dict)

    @classmethod
    def of(
        cls, session: Session, adverts: Mapping[str, Advert], size: int, least: int = LEAST_HIDDEN_SITES
    ) -> MaskedSum:
        """Begin a sum of vectors of a size over the sites that sent their keys.

        Raises:
            TooFewSitesError: They are fewer than the plan needs, or than three.
        """
        require_sites(len(adverts), least)
        roster = Roster(session=session, adverts=tuple(adverts[name] for name in sorted(adverts)))
        return cls(session, roster, np.zeros(size, np.uint32), least)

    @property
    def quorum(self) -> int:
        """How many sites have to sign and to reveal."""
        return max(LEAST_HIDDEN_SITES, self.roster.threshold)

    @property
    def needed(self) -> int:
        """How many updates the sum has to be of."""
        return max(self.least, self.quorum)

    def deal(self, dealing: Dealing) -> None:
        """Take the sealed shares of one site.

        Raises:
            ValueError: They are not one share for each site.
        """
        names = set(self.roster.names)
        if set(dealing.digests) != names or set(dealing.sealed) != names - {dealing.site}:
            raise ValueError("not one share for each site")
        self.dealings[dealing.site] = dealing

    def mask_orders(self) -> dict[str, MaskOrder]:
        """Return what each site that dealt shares gets from the others.

        Raises:
            TooFewSitesError: Fewer sites than the threshold dealt.
        """
        require_sites(len(self.dealings), self.needed)
        return {holder: self._order_for(holder) for holder in sorted(self.dealings)}

    def _order_for(self, holder: str) -> MaskOrder:
        others = [dealing for name, dealing in sorted(self.dealings.items()) if name != holder]
        return MaskOrder(
            session=self.session,
            sealed={dealing.site: dealing.sealed[holder] for dealing in others},
            digests={dealing.site: dealing.digests[holder] for dealing in others},
        )

    def add(self, site: str, masked: Ring) -> None:
        """Add the masked update of one site."""
        self.total += masked
        self.survivors.append(site)

    def survivor_list(self) -> SurvivorList:
        """Return the names of the sites whose updates are in the sum.

        Raises:
            TooFewSitesError: They are fewer than the threshold.
        """
        require_sites(len(self.survivors), self.needed)
        return SurvivorList(session=self.session, survivors=tuple(sorted(self.survivors)))

    def agree(self, agreement: Agreement) -> None:
        """Take one survivor's signature of the list.

        Raises:
            KeyNotTrustedError: It is not for this list, or not by this site's key.
        """
        agreed = AgreedList(self.roster, tuple(sorted(self.dealings)), tuple(sorted(self.survivors)))
        if not agreed.is_signed_by(agreement.site, agreement.signature):
            raise KeyNotTrustedError(f"{agreement.site} did not sign the list of survivors")
        self.signatures[agreement.site] = agreement.signature

    def unmask_order(self) -> UnmaskOrder:
        """Return what shows the sites that signed that enough of them did.

        Raises:
            TooFewSitesError: They are fewer than the threshold.
        """
        require_sites(len(self.signatures), self.quorum)
        return UnmaskOrder(session=self.session, signatures=dict(sorted(self.signatures.items())))

    def reveal(self, revealed: Revealed) -> None:
        """Take the shares that one site reveals.

        Raises:
            FalseShareError: One is not the share that was dealt to it, or one is missing or too many.
        """
        dropped = set(self.dealings) - set(self.survivors)
        if set(revealed.seeds) != set(self.survivors) or set(revealed.keys) != dropped:
            raise FalseShareError(revealed.site)
        for name, seed in revealed.seeds.items():
            self._require_dealt(seed, self.dealings[name].digests[revealed.site].seed, revealed.site)
        for name, key in revealed.keys.items():
            self._require_dealt(key, self.dealings[name].digests[revealed.site].key, revealed.site)
        self.revealed[revealed.site] = revealed

    @staticmethod
    def _require_dealt(share: str, expected: str, holder: str) -> None:
        if digest(bytes.fromhex(share)) != expected:
            raise FalseShareError(holder)

    def mean(self) -> tuple[NDArray[np.float64], float]:
        """Take the masks off and return the weighted mean of the updates and the sum of their weights.

        Raises:
            TooFewSitesError: Fewer sites than the threshold revealed their shares.
            BrokenSecretError: The secret of one site cannot be put together.
            UnmaskingError: The sum is outside what honest sites can reach.
        """
        require_sites(len(self.revealed), self.quorum)
        for site in self.survivors:
            add_mask(self.total, self._seed(site), negative=True)
        for site in sorted(set(self.dealings) - set(self.survivors)):
            self._take_off(site, self._private_key(site))
        try:
            return self.session.code.decode(self.total)
        except ValueError as error:
            raise UnmaskingError(f"{error}: a site did not keep to the protocol, and nobody can say which") from error

    def _take_off(self, dropped: str, private: bytes) -> None:
        """Take off what the survivors added for a site whose update never arrived."""
        for site in self.survivors:
            public = bytes.fromhex(self.roster.advert(site).mask_key)
            key = mask_key(private, public, self.roster.context, (dropped, site))
            add_mask(self.total, key, negative=site < dropped)

    def _seed(self, site: str) -> bytes:
        seed = self._combined({name: one.seeds[site] for name, one in self.revealed.items()})
        if digest(seed) != self.roster.advert(site).seed_digest:
            raise BrokenSecretError(site)
        return seed

    def _private_key(self, site: str) -> bytes:
        private = self._combined({name: one.keys[site] for name, one in self.revealed.items()})
        if public_of(private).hex() != self.roster.advert(site).mask_key:
            raise BrokenSecretError(site)
        return private

    def _combined(self, shares: Mapping[str, str]) -> bytes:
        chosen = sorted(shares)[: self.roster.threshold]
        return combine({self.roster.number(name): bytes.fromhex(shares[name]) for name in chosen})
