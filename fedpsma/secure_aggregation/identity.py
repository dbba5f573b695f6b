"""The key a site is known by, and the book of the others' keys: trusted at first use, never changed silently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedpsma.io.files import read_json, write_bytes, write_json
from fedpsma.secure_aggregation.messages import Advert, Session

IDENTITY_FILE = "identity.key"
KEYS_FILE = "keys.json"


class KeyNotTrustedError(Exception):
    """A site shows another key than the one it is known by, a key that nobody vouched for, or a wrong signature."""


def identity_of(state: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 key of the site whose state folder this is; the first call makes it, readable by it alone."""
    path = state / IDENTITY_FILE
    if not path.exists():
        write_bytes(path, Ed25519PrivateKey.generate().private_bytes_raw(), private=True)
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def signed_advert(draft: Advert, session: Session, identity: Ed25519PrivateKey) -> Advert:
    """Return an advert with its signature."""
    return draft.model_copy(update={"signature": identity.sign(draft.signed(session)).hex()})


class KeyBook:
    """``keys.json``: the keys that sites are known by.

    Args:
        path: The file.
        fixed: Keys known beforehand; where they are given, ``closed`` says whether nobody else is accepted.
        closed: Whether names that are not in ``fixed`` are refused instead of trusted at first use.
    """

    def __init__(self, path: Path, fixed: Mapping[str, str], *, closed: bool = False) -> None:
        self._path = path
        self._fixed = fixed
        self._closed = closed

    def require(self, adverts: Iterable[Advert], session: Session) -> None:
        """Check whose adverts these are; names seen for the first time are written down with their keys.

        Raises:
            KeyNotTrustedError: One is not from the site it names.
        """
        book = self._read()
        known = {**book, **self._fixed}
        new = {}
        for advert in adverts:
            self._require_known(advert, known)
            _require_signed(advert, session)
            if advert.site not in known:
                new[advert.site] = advert.identity
        if new:
            write_json(self._path, {**book, **new})

    def _require_known(self, advert: Advert, known: Mapping[str, str]) -> None:
        if known.get(advert.site, advert.identity) != advert.identity:
            raise KeyNotTrustedError(f"the key of {advert.site} has changed")
        if self._closed and advert.site not in self._fixed:
            raise KeyNotTrustedError(f"{advert.site} is not among the sites that are trusted here")

    def _read(self) -> dict[str, str]:
        return dict(read_json(self._path)) if self._path.exists() else {}


def _require_signed(advert: Advert, session: Session) -> None:
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(advert.identity))
        key.verify(bytes.fromhex(advert.signature), advert.signed(session))
    except InvalidSignature as error:
        raise KeyNotTrustedError(f"the keys of {advert.site} are not signed by it") from error
