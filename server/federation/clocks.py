"""How far the clocks of sites are from this one, as the time of their calls tells, whether they are let in or not.

Flower's nodes name their key and sign the time with each call. Who made a call is not proved here, so nothing depends
on it but what the coordinator is told.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from pydantic import TypeAdapter

from fedpsma.io.files import read_json, write_json
from fedpsma.joining.clocks import LARGEST_SKEW, SAID_FROM, is_apart, skew_in_words
from server.federation.home import FederationHome

KEY_HEADER, TIME_HEADER = b"flwr-public-key", b"flwr-timestamp"
_AHEAD_S = TypeAdapter(dict[str, float])


@dataclass
class SiteClocks:
    """Hears the calls of sites, and says and writes down whose clock differs.

    ``heard`` runs with every call and touches no file; ``note`` is called now and then.
    """

    home: FederationHome
    say: Callable[[str], None]
    _sites: Mapping[str, str] = field(default_factory=dict)
    _ahead_s: dict[str, float] = field(default_factory=dict)
    _noted: dict[str, float] = field(default_factory=dict)

    def heard(self, headers: Mapping[bytes, bytes]) -> None:
        """Take the time from the headers of a call."""
        site = self._sites.get(headers.get(KEY_HEADER, b"").decode("ascii", "replace"))
        ahead_s = _ahead(headers.get(TIME_HEADER, b""))
        if site is not None and ahead_s is not None:
            self._ahead_s[site] = ahead_s

    def note(self, node_keys: Mapping[str, str]) -> None:
        """Write down whose clock differs by how much, and say what is new.

        Args:
            node_keys: The key of every site that may call, by its name.
        """
        self._sites = {_as_header(key): name for name, key in node_keys.items()}
        apart = {name: round(by, 1) for name, by in self._ahead_s.items() if name in node_keys and is_apart(by)}
        changed = [name for name, by in apart.items() if is_apart(by - self._noted.get(name, 0.0))]
        mended = self._noted.keys() - apart.keys()
        if not changed and not mended:
            return
        for name in sorted(changed):
            self.say(f"{name}: {clock_in_words(apart[name])}")
        for name in sorted(mended):
            self.say(f"{name}: its clock is right again, to {SAID_FROM.total_seconds():.0f} s")
        self._noted = {**{name: self._noted.get(name, by) for name, by in apart.items()}, **_only(apart, changed)}
        write_json(self.home.clocks_path, self._noted)


def clocks_apart(home: FederationHome) -> dict[str, float]:
    """Return the sites whose clocks differ from the coordinator's, with the seconds that they are ahead."""
    return _AHEAD_S.validate_python(read_json(home.clocks_path)) if home.clocks_path.exists() else {}


def clock_in_words(ahead_s: float) -> str:
    """Return what a difference means for a site.

    Example:
        >>> clock_in_words(-600)
        'its clock is 10 min behind yours, more than the 5 min that are allowed; somebody has to set one'
    """
    told = f"its clock is {skew_in_words(ahead_s)} {'of ' if ahead_s > 0 else ''}yours"
    if abs(ahead_s) < LARGEST_SKEW.total_seconds():
        return told
    most = LARGEST_SKEW.total_seconds() / 60
    return f"{told}, more than the {most:.0f} min that are allowed; somebody has to set one"


@cache
def _as_header(node_key: str) -> str:
    """Return a key in OpenSSH format as Flower's nodes name it."""
    key = load_ssh_public_key(node_key.encode("ascii"))
    return base64.b64encode(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).decode("ascii")


def _ahead(signed_at: bytes) -> float | None:
    try:
        return (datetime.fromisoformat(signed_at.decode("ascii")) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        # No time, or one without a zone.
        return None


def _only(values: Mapping[str, float], names: list[str]) -> dict[str, float]:
    return {name: values[name] for name in names}
