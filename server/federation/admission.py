"""Who may take part: what sites ask with, what the coordinator decided, and what the SuperLink knows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from fedpsma.errors import InputError
from fedpsma.io.files import read_json, write_json
from fedpsma.joining.records import SiteRequest
from server.federation.home import FederationHome
from server.federation.superlink import CONNECTION, SuperLink


class AdmittedSite(BaseModel):
    """``sites/NAME.json``: a site's request and when it was admitted, and revoked where it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    request: SiteRequest
    admitted: AwareDatetime
    revoked: AwareDatetime | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.request.site

    @property
    def is_in(self) -> bool:
        """Whether it may take part."""
        return self.revoked is None


def admitted_sites(home: FederationHome) -> list[AdmittedSite]:
    """Return every site that was ever admitted, by name.

    Raises:
        InputError: A file is not what was written.
    """
    return [_read(path) for path in sorted(home.sites.glob("*.json"))]


def admit(home: FederationHome, request: SiteRequest) -> AdmittedSite:
    """Let a site take part from now on.

    Raises:
        InputError: Its name or one of its keys belongs to another site, or was revoked.
    """
    for known in admitted_sites(home):
        _require_new(known, request)
    site = AdmittedSite(request=request, admitted=_now())
    _write(home, site)
    home.note("admitted", site=request.site, fingerprint=request.fingerprint)
    return site


def revoke(home: FederationHome, name: str) -> AdmittedSite:
    """Let a site take part no more; its keys are never accepted again.

    Raises:
        InputError: It was not admitted, or is revoked already.
    """
    found = next((site for site in admitted_sites(home) if site.name == name), None)
    if found is None or not found.is_in:
        what = "was never admitted" if found is None else "is revoked already"
        raise InputError(what, where=name, remedy="see: fedpsma federation sites")
    site = found.model_copy(update={"revoked": _now()})
    _write(home, site)
    home.note("revoked", site=name, fingerprint=site.request.fingerprint)
    return site


def _require_new(known: AdmittedSite, request: SiteRequest) -> None:
    same_key = request.node_key == known.request.node_key or request.signing_key == known.request.signing_key
    if same_key and not known.is_in:
        raise InputError("has a key that was revoked", where=request.site, remedy="let the site make new keys")
    if known.name.lower() == request.site.lower() and known.is_in:
        remedy = f"revoke it first, if its keys have to change: fedpsma federation revoke {known.name!r}"
        raise InputError("is admitted already", where=known.name, remedy=remedy)
    if same_key:
        raise InputError(f"has a key of {known.name}", where=request.site, remedy="let the site make keys of its own")


class _Node(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    node: int


class _Nodes(BaseModel):
    """``nodes.json``: which node of the SuperLink is which site."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nodes: dict[str, _Node] = {}


@dataclass(frozen=True)
class Registrar:
    """Keeps the nodes that the SuperLink lets in the same as the admitted sites."""

    home: FederationHome
    superlink: SuperLink
    say: Callable[[str], None]

    @property
    def _path(self) -> Path:
        return self.home.flower / "nodes.json"

    def wanted(self) -> dict[str, str]:
        """Return the node key of every site that may take part."""
        return {site.name: site.request.node_key for site in admitted_sites(self.home) if site.is_in}

    def forget_lost(self) -> None:
        """Forget nodes that the SuperLink does not know any more, as after the loss of its data base."""
        listed = {int(one["node-id"]) for one in self.superlink.flwr("supernode", "list", CONNECTION)["nodes"]}
        self._write({name: one for name, one in self._known().items() if one.node in listed})

    def sync(self) -> None:
        """Register who was admitted and unregister who was revoked.

        Raises:
            SuperLinkError: The SuperLink does not do it.
        """
        known, wanted = self._known(), self.wanted()
        for name in sorted(name for name, one in known.items() if wanted.get(name) != one.key):
            self.superlink.flwr("supernode", "unregister", str(known.pop(name).node), CONNECTION)
            self._write(known)
            self.say(f"{name} is out")
        for name in sorted(wanted.keys() - known.keys()):
            known[name] = _Node(key=wanted[name], node=self._register(wanted[name]))
            self._write(known)
            self.say(f"{name} may connect")

    def _register(self, key: str) -> int:
        path = self.home.flower / "node.pub"
        path.write_text(key + "\n", "utf-8")
        answer = self.superlink.flwr("supernode", "register", str(path), CONNECTION)
        path.unlink()
        return int(answer["node-id"])

    def _known(self) -> dict[str, _Node]:
        return _Nodes.model_validate(read_json(self._path)).nodes if self._path.exists() else {}

    def _write(self, nodes: dict[str, _Node]) -> None:
        write_json(self._path, _Nodes(nodes=nodes).model_dump(mode="json"))


def _read(path: Path) -> AdmittedSite:
    try:
        return AdmittedSite.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError("is no admitted site", where=str(path), remedy="admit the site again") from error


def _write(home: FederationHome, site: AdmittedSite) -> None:
    write_json(home.sites / f"{site.name.lower()}.json", site.model_dump(mode="json"))


def _now() -> datetime:
    return datetime.now(UTC)
