"""The coordinator's side of signatures: what it signs of what it sends, and whose signature a reply has to bear.

In a simulation everything lies on one machine, and nothing is signed.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from fedpsma.contract import Federation
from fedpsma.joining.keys import read_signing_key
from fedpsma.joining.signatures import Statement, arrays_sha256, is_signed, sign

Arrays = Mapping[str, NDArray[Any]]
ToSite = Literal["order", "stage"]
FromSite = Literal["report", "answer"]


@dataclass(frozen=True)
class Sealed:
    """A text and the signature that covers it; empty where nothing is signed."""

    text: str
    signature: str = ""


class Signing(Protocol):
    """How messages are signed and replies are checked."""

    def question(self) -> Sealed:
        """Return what a node is asked that has not said yet who it is; never the same twice."""
        ...

    def is_at(self, site: str, question: Sealed, signature: str) -> bool:
        """Return whether the question was answered at this site."""
        ...

    def seal(self, kind: ToSite, site: str, number: int, text: str, arrays: Arrays | None = None) -> Sealed:
        """Return a text for one site and one round, signed together with the arrays beside it."""
        ...

    def is_from(self, kind: FromSite, site: str, number: int, sealed: Sealed, arrays: Arrays | None = None) -> bool:
        """Return whether this very site said this in this round, together with the arrays beside it."""
        ...


@dataclass(frozen=True)
class Unsigned:
    """Signs nothing and believes everything: for simulations."""

    def question(self) -> Sealed:
        """Return an empty question."""
        return Sealed("")

    def is_at(self, site: str, question: Sealed, signature: str) -> bool:
        """Return that it was."""
        return True

    def seal(self, kind: ToSite, site: str, number: int, text: str, arrays: Arrays | None = None) -> Sealed:
        """Return the text as it is."""
        return Sealed(text)

    def is_from(self, kind: FromSite, site: str, number: int, sealed: Sealed, arrays: Arrays | None = None) -> bool:
        """Return that it did."""
        return True


UNSIGNED = Unsigned()


@dataclass(frozen=True)
class Signed:
    """Signs with the coordinator's key and checks against the keys that the sites were admitted with."""

    federation: str
    run: str
    key: Ed25519PrivateKey
    sites: Mapping[str, str]

    def question(self) -> Sealed:
        """Return a signed token, so that an old answer is none."""
        text = json.dumps({"token": secrets.token_hex(16)})
        return Sealed(text, sign(Statement("question", self.federation, "", 0, "", text), self.key))

    def is_at(self, site: str, question: Sealed, signature: str) -> bool:
        """Return whether the admitted key of the site signed the token."""
        statement = Statement("answer", self.federation, "", 0, site, question.text)
        return self._is_signed(statement, signature)

    def seal(self, kind: ToSite, site: str, number: int, text: str, arrays: Arrays | None = None) -> Sealed:
        """Return the text with the coordinator's signature."""
        statement = Statement(kind, self.federation, self.run, number, site, text)
        return Sealed(text, sign(_with(statement, arrays), self.key))

    def is_from(self, kind: FromSite, site: str, number: int, sealed: Sealed, arrays: Arrays | None = None) -> bool:
        """Return whether the admitted key of the site signed this."""
        statement = Statement(kind, self.federation, self.run, number, site, sealed.text)
        return self._is_signed(_with(statement, arrays), sealed.signature)

    def _is_signed(self, statement: Statement, signature: str) -> bool:
        return statement.site in self.sites and is_signed(statement, signature, self.sites[statement.site])


def signing_of(federation: Federation) -> Signing:
    """Return how the messages of a run are signed.

    Raises:
        InputError: The coordinator's key cannot be read.
    """
    if federation.name is None or federation.signing_key is None:
        return UNSIGNED
    keys = {site.name: site.key for site in federation.sites if site.key is not None}
    return Signed(federation.name, federation.run, read_signing_key(federation.signing_key), keys)


def _with(statement: Statement, arrays: Arrays | None) -> Statement:
    return statement if arrays is None else replace(statement, weights_sha256=arrays_sha256(arrays))
