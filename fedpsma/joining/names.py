"""How federations and sites are called, and where a coordinator is found; what is wrong is said in words."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from fedpsma.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_ADDRESS = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})")
_LAST_PORT = 65535


def _checked_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"{text[:80]!r} is no name: it has up to 64 letters without accents, digits, spaces, dots, _ and -, "
            "and begins with a letter or a digit"
        )
    return text


def _checked_address(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[1]) <= _LAST_PORT:
        raise ValueError(f"{text[:80]!r} is no address: it is written like federation.example.org:9443")
    return text


Name = Annotated[str, AfterValidator(_checked_name)]
"""The name of a site or a federation; it becomes the name of a file."""
Address = Annotated[str, AfterValidator(_checked_address)]
"""Host and port; a host of version 6 of the protocol stands in brackets."""


def require_site_name(text: str, *, remedy: str = "give another one") -> str:
    """Return the name of a site, and raise :class:`InputError` where it is none."""
    try:
        return _checked_name(text)
    except ValueError as error:
        raise InputError(str(error), where="name of the site", remedy=remedy) from error
