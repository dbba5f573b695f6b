"""What server and sites say to each other in one session of secure aggregation, stage by stage.

Invitation -> Advert; Roster -> Dealing; MaskOrder with the training order -> masked update; SurvivorList -> Agreement;
UnmaskOrder -> Revealed. Bytes travel as hexadecimal text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from fedpsma.contract import RUN, RoundOrder, SecureAggregation
from fedpsma.secure_aggregation.ring import FixedPoint

Bytes32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Bytes64 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


def threshold(sites: int) -> int:
    """Return how many of the sites have to stay to the end: two thirds, rounded up.

    Of two groups of so many sites a third of all are in both, so while fewer than a third help the server, it has one
    list of survivors agreed on and no second one (:mod:`fedpsma.secure_aggregation.agreement`).

    Example:
        >>> [threshold(sites) for sites in (3, 4, 5, 20)]
        [2, 3, 4, 14]
    """
    return -(-2 * sites // 3)


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Session(_Message):
    """One attempt to sum one round; ``token`` is new for each, ``sites`` are those invited, ``bounds`` the plan's."""

    run: str = Field(pattern=RUN)
    round: int
    token: Bytes32
    sites: tuple[str, ...]
    bounds: SecureAggregation

    @property
    def code(self) -> FixedPoint:
        """How updates become integers in this session."""
        return FixedPoint(len(self.sites), self.bounds.update_norm, self.bounds.largest_change)


class Invitation(_Message):
    """Asks a site to take part; with the order, so that it can decline before anybody counts on it."""

    session: Session
    order: RoundOrder


class Advert(_Message):
    """The public keys of a site for one session, signed with the key by which others know it.

    ``seal_key`` is for secrets in transit, ``mask_key`` for masks. ``seed_digest`` commits the site to its own mask.
    """

    site: str
    identity: Bytes32
    seal_key: Bytes32
    mask_key: Bytes32
    seed_digest: Bytes32
    signature: Bytes64

    def signed(self, session: Session) -> bytes:
        """Return the bytes that the signature is for."""
        own = self.model_dump_json(exclude={"signature"})
        return f"fedpsma secure aggregation 1\n{session.model_dump_json()}\n{own}".encode()


class Roster(_Message):
    """All sites that take part, sorted by name; a site's number is its place, from 1 on."""

    session: Session
    adverts: tuple[Advert, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sites in order."""
        return tuple(advert.site for advert in self.adverts)

    @property
    def threshold(self) -> int:
        """How many sites have to stay to the end."""
        return threshold(len(self.adverts))

    def number(self, site: str) -> int:
        """Return the number of a site."""
        return self.names.index(site) + 1

    def advert(self, site: str) -> Advert:
        """Return the keys of a site."""
        return self.adverts[self.number(site) - 1]

    @cached_property
    def context(self) -> bytes:
        """Return the digest of all that the sites must agree on; where two disagree, nothing between them decrypts."""
        return sha256(self.model_dump_json().encode()).digest()


class ShareDigests(_Message):
    """Digests of what one holder got: its share of a site's own mask, and of the site's private mask key."""

    seed: Bytes32
    key: Bytes32


class Dealing(_Message):
    """The shares of a site's secrets, sealed for each other site, and the digests of all of them, its own included."""

    site: str
    sealed: Mapping[str, str]
    digests: Mapping[str, ShareDigests]


class MaskOrder(_Message):
    """Goes with the training order: the sealed shares for one site, by sender, and the digests they must have."""

    session: Session
    sealed: Mapping[str, str]
    digests: Mapping[str, ShareDigests]


class SurvivorList(_Message):
    """Names the sites whose masked updates arrived, for each of them to sign."""

    session: Session
    survivors: tuple[str, ...]


class Agreement(_Message):
    """A survivor's signature of the list (:class:`fedpsma.secure_aggregation.agreement.AgreedList`)."""

    site: str
    signature: Bytes64


class UnmaskOrder(_Message):
    """Shows a survivor that enough of the others signed the same list as it did."""

    session: Session
    signatures: Mapping[str, Bytes64]


class Revealed(_Message):
    """The shares of one holder: of the own masks of survivors, and of the mask keys of sites that dropped out."""

    site: str
    seeds: Mapping[str, Bytes32]
    keys: Mapping[str, Bytes32]
