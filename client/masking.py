"""The site's side of secure aggregation: its secrets of one session, and what it gives away of them, and when.

Every message comes to a new process in some deployments, so the secrets of a session lie in the site's state folder
between its stages, readable by the site alone, one session a run, and are deleted with its last stage. A stage is
entered once: the note that it was goes to the disk before its answer, and one message at a time is looked at, so
nothing is masked twice with the same mask, and no second list of survivors is signed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import Concatenate, Literal, ParamSpec, TypeVar

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from fedpsma.contract import LEAST_HIDDEN_SITES
from fedpsma.io.files import held_alone, write_bytes
from fedpsma.secure_aggregation.agreement import AgreedList
from fedpsma.secure_aggregation.identity import KeyBook, identity_of, signed_advert
from fedpsma.secure_aggregation.masks import KEY_BYTES, add_mask, agreed_key, mask_key, new_key
from fedpsma.secure_aggregation.messages import (
    Advert,
    Agreement,
    Bytes32,
    Dealing,
    MaskOrder,
    Revealed,
    Roster,
    Session,
    ShareDigests,
    SurvivorList,
    UnmaskOrder,
)
from fedpsma.secure_aggregation.ring import Ring
from fedpsma.secure_aggregation.sharing import digest, split

SECRETS_FOLDER = "secure"
# A stage is a matter of milliseconds.
HELD_S = 30.0
# A sealing key seals one message in each direction, so the direction is all its nonce has to tell.
_NONCES = {True: bytes(12), False: bytes(11) + b"\x01"}
Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class ProtocolError(Exception):
    """The server asks for something that the protocol does not allow at this point; nothing is given away."""


class UnreadableShareError(Exception):
    """Shares cannot be opened, or are not what their senders said of them."""

    def __init__(self, senders: Iterable[str]) -> None:
        self.senders = tuple(senders)
        super().__init__(f"the shares of {', '.join(self.senders)} cannot be opened, or are not what was said of them")


class TooFewSitesError(Exception):
    """So few sites are left that their sum would tell too much about one of them."""


class _Pair(BaseModel):
    """A holder's shares of another site's secrets."""

    model_config = ConfigDict(frozen=True)

    seed: Bytes32
    key: Bytes32


class _Secrets(BaseModel):
    """What a site must keep between the stages of a session; ``least`` is the fewest sites it may be hidden among."""

    model_config = ConfigDict(frozen=True)

    stage: Literal["advertised", "shared", "masked", "agreed"]
    session: Session
    least: int
    seal_private: Bytes32
    mask_private: Bytes32
    seed: Bytes32
    advert: Advert
    roster: Roster | None = None
    held: Mapping[str, _Pair] = {}
    survivors: tuple[str, ...] = ()

    @property
    def needed(self) -> int:
        """How many sites have to stay to the end."""
        return max(self.least, _roster_of(self).threshold)

    @property
    def agreed(self) -> AgreedList:
        """The list that this site signs; who dealt is what it masked against."""
        return AgreedList(_roster_of(self), tuple(sorted(self.held)), self.survivors)


def _alone(
    stage: Callable[Concatenate[Participant, Arguments], Answer],
) -> Callable[Concatenate[Participant, Arguments], Answer]:
    """Let one message at a time into a stage, or two threads or processes could each find it not entered yet."""

    @wraps(stage)
    def entered(self: Participant, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        self.folder.mkdir(parents=True, exist_ok=True)
        with held_alone(self.folder, within_s=HELD_S):
            return stage(self, *args, **kwargs)

    return entered


class Participant:
    """A site in the sessions of one run.

    Args:
        site: Its name.
        state: Its state folder.
        book: The keys of the other sites.
        run: The run; of each there is one session at a time.
    """

    def __init__(self, site: str, state: Path, book: KeyBook, run: str) -> None:
        self._site = site
        self._state = state
        self._book = book
        self.folder = state / SECRETS_FOLDER
        self._path = self.folder / f"{hashlib.sha256(run.encode()).hexdigest()[:16]}.json"

    @_alone
    def advertise(self, session: Session, least: int = LEAST_HIDDEN_SITES) -> Advert:
        """Begin a session, with new keys and a new mask; an earlier one of the same run is given up.

        Args:
            session: The session.
            least: The fewest sites that may take part to its end; never fewer than three.

        Raises:
            TooFewSitesError: Fewer sites are invited.
            ProtocolError: This site is not among them.
        """
        least = max(LEAST_HIDDEN_SITES, least)
        self._require_enough(session.sites, least)
        seal_private, seal_public = new_key()
        mask_private, mask_public = new_key()
        seed = secrets.token_bytes(KEY_BYTES)
        identity = identity_of(self._state)
        draft = Advert(
            site=self._site,
            identity=identity.public_key().public_bytes_raw().hex(),
            seal_key=seal_public.hex(),
            mask_key=mask_public.hex(),
            seed_digest=digest(seed),
            signature="0" * 128,
        )
        advert = signed_advert(draft, session, identity)
        self._keep(
            _Secrets(
                stage="advertised",
                session=session,
                least=least,
                seal_private=seal_private.hex(),
                mask_private=mask_private.hex(),
                seed=seed.hex(),
                advert=advert,
            )
        )
        return advert

    @_alone
    def share(self, roster: Roster) -> Dealing:
        """Check who takes part and split the secrets of this site among them.

        Raises:
            TooFewSitesError: Fewer sites take part than this one was promised.
            KeyNotTrustedError: One of them is not the site that is known by its name.
            ProtocolError: The session is another one, or was shared before.
        """
        own = self._at("advertised", roster.session)
        names = roster.names
        self._require_enough(names, own.least)
        if list(names) != sorted(set(names)) or not set(names) <= set(own.session.sites):
            raise ProtocolError("the roster is not in order")
        if roster.advert(self._site) != own.advert:
            raise ProtocolError("the roster shows other keys of this site")
        self._book.require(roster.adverts, roster.session)
        dealt = _deal(own, roster)
        self._keep(
            own.model_copy(update={"stage": "shared", "roster": roster, "held": {self._site: dealt[self._site]}})
        )
        return Dealing(
            site=self._site,
            sealed={name: _seal(own, roster, (self._site, name), dealt[name]) for name in names if name != self._site},
            digests={name: _digests(pair) for name, pair in dealt.items()},
        )

    @_alone
    def open_session(self, order: MaskOrder) -> SealedInput:
        """Take the shares of the others and return what masks this site's update, once.

        Raises:
            TooFewSitesError: Fewer sites than the threshold shared their secrets.
            UnreadableShareError: Shares are not what their senders said; all such senders are named.
            ProtocolError: A sender does not take part, or this session was masked before.
        """
        own = self._at("shared", order.session)
        roster = _roster_of(own)
        senders = set(order.sealed)
        self._require_enough((*senders, self._site), own.needed)
        if not senders <= set(roster.names) - {self._site}:
            raise ProtocolError("shares of a site that does not take part")
        held = dict(own.held)
        for sender in sorted(senders):
            pair = _unsealed(own, roster, (sender, self._site), order.sealed[sender])
            if pair is not None and _digests(pair) == order.digests.get(sender):
                held[sender] = pair
        unreadable = senders - held.keys()
        if unreadable:
            raise UnreadableShareError(sorted(unreadable))
        self._keep(own.model_copy(update={"stage": "masked", "held": held}))
        return SealedInput(own.seed, own.mask_private, roster, self._site, tuple(sorted(held)))

    @_alone
    def agree(self, order: SurvivorList) -> Agreement:
        """Sign whose updates are summed and whose shares they were masked against, once; no other list after it.

        Raises:
            TooFewSitesError: Fewer survivors than the threshold.
            ProtocolError: The survivors are not sites of this session, or a list was signed before.
        """
        own = self._at("masked", order.session)
        self._require_enough(order.survivors, own.needed)
        if not set(order.survivors) <= set(own.held):
            raise ProtocolError("a survivor that shared nothing")
        agreed = own.model_copy(update={"stage": "agreed", "survivors": tuple(sorted(set(order.survivors)))})
        self._keep(agreed)
        return Agreement(site=self._site, signature=agreed.agreed.signed(identity_of(self._state)))

    @_alone
    def unmask(self, order: UnmaskOrder) -> Revealed:
        """Give the shares that the sum of the agreed survivors needs, once, and forget the session.

        Of each site either the share of its own mask is given or that of its mask key, never both.

        Raises:
            TooFewSitesError: Fewer survivors than the threshold signed.
            ProtocolError: A signature is not for the list that this site signed, or it was unmasked before.
        """
        own = self._at("agreed", order.session)
        self._require_enough(order.signatures, max(LEAST_HIDDEN_SITES, _roster_of(own).threshold))
        for site, signature in order.signatures.items():
            if not own.agreed.is_signed_by(site, signature):
                raise ProtocolError(f"{site} did not sign the same list")
        self._path.unlink()
        return Revealed(
            site=self._site,
            seeds={name: pair.seed for name, pair in own.held.items() if name in own.survivors},
            keys={name: pair.key for name, pair in own.held.items() if name not in own.survivors},
        )

    def _at(self, stage: str, session: Session) -> _Secrets:
        if not self._path.exists():
            raise ProtocolError("there is no session of this run")
        own = _Secrets.model_validate_json(self._path.read_bytes())
        if own.session != session:
            raise ProtocolError("this is another session")
        if own.stage != stage:
            raise ProtocolError(f"the session is at {own.stage}, not at {stage}")
        return own

    def _keep(self, own: _Secrets) -> None:
        write_bytes(self._path, own.model_dump_json().encode(), private=True)

    def _require_enough(self, sites: Iterable[str], least: int) -> None:
        names = set(sites)
        if len(names) < least:
            raise TooFewSitesError
        if self._site not in names:
            raise ProtocolError("this site is not among those that take part")


class SealedInput:
    """Masks the update of one site in one session; made by :meth:`Participant.open_session`, once a session."""

    def __init__(self, seed: str, mask_private: str, roster: Roster, site: str, partners: tuple[str, ...]) -> None:
        self._seed = bytes.fromhex(seed)
        self._private = bytes.fromhex(mask_private)
        self._roster = roster
        self._site = site
        self._partners = partners

    def mask(self, update: NDArray[np.float64], weight: float = 1.0) -> Ring:
        """Return the update and its weight in the ring under this site's own mask and those it shares with others.

        Raises:
            ValueError: The update is not finite, or the weight is not in (0, 1].
        """
        vector = self._roster.session.code.encode(update, weight)
        add_mask(vector, self._seed)
        for partner in self._partners:
            if partner != self._site:
                public = bytes.fromhex(self._roster.advert(partner).mask_key)
                key = mask_key(self._private, public, self._roster.context, (self._site, partner))
                add_mask(vector, key, negative=partner < self._site)
        return vector


def _deal(own: _Secrets, roster: Roster) -> dict[str, _Pair]:
    count, least = len(roster.names), roster.threshold
    seeds = split(bytes.fromhex(own.seed), least, count)
    keys = split(bytes.fromhex(own.mask_private), least, count)
    return {
        name: _Pair(seed=seeds[number].hex(), key=keys[number].hex()) for number, name in enumerate(roster.names, 1)
    }


def _digests(pair: _Pair) -> ShareDigests:
    return ShareDigests(seed=digest(bytes.fromhex(pair.seed)), key=digest(bytes.fromhex(pair.key)))


def _seal(own: _Secrets, roster: Roster, way: tuple[str, str], pair: _Pair) -> str:
    content = bytes.fromhex(pair.seed + pair.key)
    return _box(own, roster, way, way[1]).encrypt(_NONCES[way[0] < way[1]], content, _label(way)).hex()


def _unsealed(own: _Secrets, roster: Roster, way: tuple[str, str], sealed: str) -> _Pair | None:
    """Return what a site sealed for this one; ``None`` where it cannot be opened."""
    try:
        box = _box(own, roster, way, way[0])
        content = box.decrypt(_NONCES[way[0] < way[1]], bytes.fromhex(sealed), _label(way)).hex()
        return _Pair(seed=content[:64], key=content[64:])
    except (InvalidTag, ValueError):
        return None


def _box(own: _Secrets, roster: Roster, way: tuple[str, str], other: str) -> ChaCha20Poly1305:
    public = bytes.fromhex(roster.advert(other).seal_key)
    return ChaCha20Poly1305(agreed_key(bytes.fromhex(own.seal_private), public, roster.context, "seal", way))


def _label(way: tuple[str, str]) -> bytes:
    return "\0".join(way).encode()


def _roster_of(own: _Secrets) -> Roster:
    if own.roster is None:
        raise ProtocolError("the session has no roster")
    return own.roster
