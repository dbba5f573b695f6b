"""The folder of a federation at its coordinator: configuration, keys, admitted sites, SuperLink, runs."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedpsma.errors import InputError, first_problem
from fedpsma.io.chain import append_line
from fedpsma.io.files import read_text, write_text
from fedpsma.joining.keys import make_signing_key, read_signing_key
from fedpsma.joining.names import Address, Name
from fedpsma.joining.records import JoinBundle
from server.federation.certificates import LOOPBACK, Expiry, KeyPair, expiry_of, make_authority, make_server

CONFIG_FILE = "federation.toml"


class FederationConfig(BaseModel):
    """``federation.toml``.

    ``address`` is what sites connect to, ``names`` all host names and addresses of the certificate. ``listen`` is where
    the front door listens; ``superlink_port`` is the port of the SuperLink on the loopback address, zero for any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    address: Address
    names: tuple[str, ...] = Field(min_length=1)
    listen: Address
    superlink_port: int = Field(default=0, ge=0, le=65535)


@dataclass(frozen=True)
class FederationHome:
    """Where everything of a federation lies."""

    folder: Path

    @property
    def config_path(self) -> Path:
        """The configuration; with it the folder is a federation."""
        return self.folder / CONFIG_FILE

    @property
    def authority(self) -> KeyPair:
        """Signs the two server certificates."""
        return KeyPair(self.folder / "authority.crt", self.keys / "authority.key")

    @property
    def front_door(self) -> KeyPair:
        """What sites see."""
        return KeyPair(self.folder / "front-door.crt", self.keys / "front-door.key")

    @property
    def superlink(self) -> KeyPair:
        """For the loopback address only."""
        return KeyPair(self.folder / "superlink.crt", self.keys / "superlink.key")

    @property
    def signing_key_path(self) -> Path:
        """Signs every order."""
        return self.keys / "coordinator.key"

    @property
    def keys(self) -> Path:
        """All private keys."""
        return self.folder / "keys"

    @property
    def sites(self) -> Path:
        """One file an admitted site."""
        return self.folder / "sites"

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.folder / "runs"

    @property
    def flower(self) -> Path:
        """What the SuperLink keeps: data base, logs, connection."""
        return self.folder / "superlink"

    @property
    def clocks_path(self) -> Path:
        """Whose clock differs by how many seconds, while the federation is up."""
        return self.flower / "clocks.json"

    @property
    def journal(self) -> Path:
        """Who was admitted or revoked, and when; chained."""
        return self.folder / "journal.jsonl"

    def make(self, config: FederationConfig) -> None:
        """Make a federation: authority, certificates, keys, and the configuration last.

        Raises:
            InputError: The folder already holds one.
        """
        if self.config_path.exists():
            raise InputError("holds a federation already", where=str(self.folder), remedy="name another folder")
        for folder in (self.folder, self.keys, self.sites, self.runs, self.flower):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        make_authority(self.authority, config.name)
        make_signing_key(self.signing_key_path)
        self.make_certificates(config)
        write_text(self.config_path, _as_toml(config))
        self.note("made", federation=config.name)

    def make_certificates(self, config: FederationConfig) -> None:
        """Make both server certificates, or make them anew; the sites' bundle stays as it is."""
        make_server(self.front_door, self.authority, config.names)
        # Nobody outside sees this one, so that it has to be renewed with its authority only.
        make_server(self.superlink, self.authority, LOOPBACK, lasts=expiry_of(self.authority).left)

    def renew(self, *, authority: bool = False) -> bool:
        """Make the certificates anew, and where asked for or about to end, that of the authority, under its old key.

        Returns:
            Whether that of the authority is new, so that the sites need a new bundle.
        """
        config, ends = self.config(), expiry_of(self.authority)
        if authority or ends.is_near:
            make_authority(self.authority, config.name)
        self.make_certificates(config)
        self.note("certificates renewed", authority=authority or ends.is_near)
        return authority or ends.is_near

    def config(self) -> FederationConfig:
        """Read the configuration.

        Raises:
            InputError: This is no federation, or the configuration is wrong.
        """
        if not self.config_path.exists():
            remedy = "make one with: fedpsma federation init NAME"
            raise InputError("is no federation", where=str(self.folder), remedy=remedy)
        try:
            return FederationConfig.model_validate(tomllib.loads(read_text(self.config_path)))
        except (ValidationError, tomllib.TOMLDecodeError) as error:
            raise InputError(_first(error), where=str(self.config_path), remedy="correct it") from error

    def bundle(self) -> JoinBundle:
        """Return what a site needs to join; no secret is in it."""
        from server.federation.app import app_sha256

        config = self.config()
        return JoinBundle(
            federation=config.name,
            address=config.address,
            ca_certificate=read_text(self.authority.certificate),
            coordinator_key=self.public_key,
            app_sha256=app_sha256(),
        )

    @property
    def public_key(self) -> str:
        """The coordinator's public key (hexadecimal)."""
        return read_signing_key(self.signing_key_path).public_key().public_bytes_raw().hex()

    def expiries(self, now: datetime | None = None) -> list[Expiry]:
        """Return when each certificate ends, the first one first."""
        pairs = (self.front_door, self.superlink, self.authority)
        return sorted((expiry_of(pair, now) for pair in pairs), key=lambda one: one.ends)

    def note(self, what: str, **fields: Any) -> None:
        """Write into the journal what the coordinator did."""
        time = datetime.now(UTC).isoformat(timespec="seconds")
        append_line(self.journal, {"schema_version": 1, "time": time, "what": what, **fields})


def _as_toml(config: FederationConfig) -> str:
    values = config.model_dump(mode="json")
    comments = {
        "name": "Sites know the federation by this name; it is part of every signature.",
        "address": "Host and port that sites connect to.",
        "names": "Host names and addresses of the certificate; after a change: fedpsma federation renew",
        "listen": "Where the front door listens.",
        "superlink_port": "Port of the SuperLink on 127.0.0.1; 0 takes any free one.",
    }
    lines = (f"# {comments[name]}\n{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return "\n".join(lines) + "\n"


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return ": ".join(first_problem(error))
    return f"is not TOML ({error})"
