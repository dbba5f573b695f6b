"""Pseudonyms by a keyed hash: the same patient gets the same one, and nobody without the key finds the way back."""

from __future__ import annotations

import hmac
import os
import secrets
import tempfile
from pathlib import Path

from fedpsma.errors import InputError
from fedpsma.io.files import read_text

KEY_BYTES = 32


def default_key_path() -> Path:
    """Return where the user's key lies: ``fedpsma/pseudonym.key`` in the user's configuration folder."""
    configured = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configured) if configured else Path.home() / ".config") / "fedpsma" / "pseudonym.key"


def read_or_create_key(path: Path) -> bytes:
    """Read the key of a site, or draw one that only its owner can read.

    Whoever holds the key can test guesses of patient IDs, so it stays at the site like the data themselves.

    Raises:
        InputError: The file holds no key, or cannot be written.
    """
    if not path.exists():
        _create(path)
    try:
        key = bytes.fromhex(read_text(path).strip())
    except ValueError as error:
        raise _no_key(path) from error
    if len(key) != KEY_BYTES:
        raise _no_key(path)
    return key


def pseudonym(key: bytes, kind: str, identity: str) -> str:
    """Return ``kind`` and 16 hexadecimal digits of HMAC-SHA-256 over kind and identity.

    Example:
        >>> pseudonym(bytes(32), "patient", "12345")
        'patient-19218d8c1b457c1d'
    """
    return f"{kind}-{hmac.new(key, f'{kind}:{identity}'.encode(), 'sha256').hexdigest()[:16]}"


def _create(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, draft = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "w") as stream:
                stream.write(secrets.token_hex(KEY_BYTES) + "\n")
            # A link fails where a key has come meanwhile, so that two processes never use two keys.
            os.link(draft, path)
        finally:
            Path(draft).unlink()
    except FileExistsError:
        return
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})", where=str(path), remedy="name another place with --key"
        ) from error


def _no_key(path: Path) -> InputError:
    return InputError(
        f"holds no key of {KEY_BYTES} bytes in hexadecimal",
        where=str(path),
        remedy="restore it; a new key gives every patient a new pseudonym",
    )
