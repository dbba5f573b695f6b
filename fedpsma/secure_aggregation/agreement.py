"""The list that the sites of a session agree on before they reveal a share: who dealt, and whose updates are summed.

Every site believes the lists it is told, so a coordinator could tell each of them other ones, and put together from
their shares what none of them would have given for a single update. Therefore each survivor signs its list, once a
session and with the key by which the others know it, and reveals nothing before it has seen the threshold of
signatures for the same list (the consistency check of Bonawitz et al. 2017, doi 10.1145/3133956.3133982).

Why that suffices: let ``n`` sites be in the roster, ``t >= 2n/3`` the threshold, and let fewer than ``n/3`` of them
help the coordinator. Two lists with ``t`` signatures each would have ``2t - n >= n/3`` signers in common, one of them
honest, and an honest site signs once. So all honest sites reveal for one list: of each survivor its own mask, of each
dealer that dropped out its mask key; the other secret of each stays with fewer than ``n/3`` holders.

The dealers need no agreement before the masking. Say that the updates of some survivors ``T`` could be read. A signer
masked with all dealers of the list, so a ``T`` with an honest signer holds every honest survivor. A ``T`` without one
has at most ``survivors - t`` members. Each masked with ``t`` sites at least, and the coordinator knows those masks only
if the other site is in ``T``, helps it, or is a dealer of the list that dropped out: ``t <= n - t + helpers``, which
needs ``n/3`` helpers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedpsma.secure_aggregation.messages import Roster


@dataclass(frozen=True)
class AgreedList:
    """What a survivor signs.

    Args:
        roster: All that the session is about: run, round, token, the sites and their keys.
        dealers: The sites whose shares were passed on, sorted; each masked with all the others.
        survivors: The sites whose masked updates are summed, sorted.
    """

    roster: Roster
    dealers: tuple[str, ...]
    survivors: tuple[str, ...]

    @property
    def _payload(self) -> bytes:
        lists = json.dumps([self.roster.context.hex(), self.dealers, self.survivors])
        return b"fedpsma secure aggregation list 1\n" + lists.encode("ascii")

    def signed(self, identity: Ed25519PrivateKey) -> str:
        """Return the signature (hexadecimal)."""
        return identity.sign(self._payload).hex()

    def is_signed_by(self, site: str, signature: str) -> bool:
        """Return whether a survivor signed exactly this list, with its key in the roster."""
        if site not in self.survivors:
            return False
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.roster.advert(site).identity))
            key.verify(bytes.fromhex(signature), self._payload)
        except (InvalidSignature, ValueError):
            return False
        return True
