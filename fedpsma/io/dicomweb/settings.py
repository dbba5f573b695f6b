"""Where an archive is and how to log in: a small TOML file or an address, and never a password on a command line."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from fedpsma.errors import InputError
from fedpsma.io.dataset import parse_record
from fedpsma.io.files import read_text, require_file

USER_VARIABLE, PASSWORD_VARIABLE = "FEDPSMA_PACS_USER", "FEDPSMA_PACS_PASSWORD"
TOKEN_VARIABLE = "FEDPSMA_PACS_TOKEN"
_DEFAULT_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Login:
    """How a client says who it is: user and password, or a bearer token; neither is ever shown."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PacsSettings:
    """One archive.

    ``url`` is the root of its DICOMweb services, ``ca_file`` the certificate authority where it is not one that
    everybody trusts, ``timeout_s`` how long one answer may take.
    """

    url: str
    login: Login = Login()
    ca_file: Path | None = None
    timeout_s: float = _DEFAULT_TIMEOUT_S


class _File(BaseModel):
    """``pacs.toml``; paths are relative to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    credentials: Path | None = None
    ca_file: Path | None = None
    timeout_s: float = Field(default=_DEFAULT_TIMEOUT_S, gt=0, le=3600)


class _Credentials(BaseModel):
    """The file that holds the secret, for its owner alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str | None = None
    password: str | None = None
    token: str | None = None


def read_settings(url: str | None, config: Path | None) -> PacsSettings:
    """Return the settings of a command line; the login comes from the environment, else from the file of secrets.

    Args:
        url: Root of the DICOMweb services; outranks that of the file.
        config: ``pacs.toml`` with ``url`` and, if needed, ``credentials``, ``ca_file`` and ``timeout_s``.

    Raises:
        InputError: Neither is given, the address is not safe to send patients' data to, or a file is broken or open
            to others.
    """
    if config is None:
        if url is None:
            raise InputError("no archive is named", where="--url", remedy="give --url or --pacs FILE.toml")
        return PacsSettings(safe_url(url, "--url"), _login_of_environment() or Login())
    told = parse_record(_File, _toml(config), str(config))
    secret = None if told.credentials is None else _read_secret(config.parent / told.credentials)
    ca_file = None if told.ca_file is None else config.parent / told.ca_file
    if ca_file is not None:
        require_file(ca_file)
    address = safe_url(url, "--url") if url is not None else safe_url(told.url, str(config))
    return PacsSettings(address, _login_of_environment() or secret or Login(), ca_file, told.timeout_s)


def safe_url(url: str, where: str) -> str:
    """Return an address without a slash at its end; it has to be encrypted unless it is this machine.

    Raises:
        InputError: It is no address, holds a password, or would send patients' data in the clear.

    Example:
        >>> safe_url("https://pacs.example.org/dicom-web/", "--url")
        'https://pacs.example.org/dicom-web'
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise InputError("is no address of DICOMweb services", where=where, remedy="give https://HOST/PATH")
    if parts.username is not None or parts.password is not None:
        raise InputError(
            "holds a login, which others can read in the list of processes",
            where=where,
            remedy=f"set {USER_VARIABLE} and {PASSWORD_VARIABLE}, or name a file of credentials in pacs.toml",
        )
    if parts.scheme == "http" and not _is_this_machine(host):
        raise InputError("would send patients' data unencrypted", where=where, remedy="give an https address")
    return url.rstrip("/")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _login_of_environment() -> Login | None:
    user, password, token = (os.environ.get(name) for name in (USER_VARIABLE, PASSWORD_VARIABLE, TOKEN_VARIABLE))
    return Login(user, password, token) if token or (user and password) else None


def _read_secret(path: Path) -> Login:
    require_file(path)
    if path.stat().st_mode & 0o077:
        raise InputError("can be read by others", where=str(path), remedy=f"run chmod 600 {path}")
    told = parse_record(_Credentials, _toml(path, secret=True), str(path))
    if told.token is None and (told.user is None or told.password is None):
        raise InputError("holds no login", where=str(path), remedy="write user and password, or token")
    return Login(told.user, told.password, told.token)


def _toml(path: Path, *, secret: bool = False) -> dict[str, object]:
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        # The parser quotes the line, which must not happen to a password.
        reason = "" if secret else f" ({error})"
        raise InputError(f"is not TOML{reason}", where=str(path), remedy="correct the file") from None
