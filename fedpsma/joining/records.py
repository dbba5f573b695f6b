"""The two files that are handed over when a site joins; neither holds a secret, and both are read by eye.

The site's request goes to the coordinator, who admits it; the coordinator's bundle goes to every site. Each side reads
the other's fingerprint aloud before it trusts the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedpsma.errors import InputError, first_problem
from fedpsma.io.files import read_json, write_json
from fedpsma.joining.keys import checked_node_key, fingerprint
from fedpsma.joining.names import Address, Name

ED25519 = r"^[0-9a-f]{64}$"


class _HandedOver(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1

    @property
    def fingerprint(self) -> str:
        """What both sides compare: it covers the whole content."""
        return fingerprint(self.model_dump_json().encode("utf-8"))

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it.

        Raises:
            InputError: There is no such file, or it holds something else.
        """
        try:
            record = cls.model_validate(read_json(path))
        except ValidationError as error:
            field, what = first_problem(error, "content")
            remedy = "ask the sender for the file again"
            raise InputError(f"{field}: {what}", where=str(path), remedy=remedy) from error
        return record


class SiteRequest(_HandedOver):
    """What a site tells of itself to be admitted.

    ``node_key`` is its ECDSA key, which opens the connection; ``signing_key`` its Ed25519 key (hexadecimal), which
    signs its reports and its part in secure aggregation. ``patients`` is how many it registers for weighting.
    """

    site: Name
    node_key: str
    signing_key: str = Field(pattern=ED25519)
    patients: int | None = Field(default=None, ge=1)
    synthetic: bool | None = None

    def checked(self, where: str) -> SiteRequest:
        """Return the request with its node key as Flower reads it; raises InputError where that is none."""
        return self.model_copy(update={"node_key": checked_node_key(self.node_key, where)})


class JoinBundle(_HandedOver):
    """What a site needs to find and to recognise a coordinator.

    ``address`` is host and port of the front door, ``ca_certificate`` (PEM) the authority that signed its certificate,
    ``coordinator_key`` the Ed25519 key (hexadecimal) that signs every order, and ``app_sha256`` the fingerprint of the
    application code at the time of writing.
    """

    federation: Name
    address: Address
    ca_certificate: str
    coordinator_key: str = Field(pattern=ED25519)
    app_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
