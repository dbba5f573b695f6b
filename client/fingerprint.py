"""Which code trains at this site, as a digest that the ledger keeps beside every charge."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import client
import fedpsma


@cache
def code_hash() -> str:
    """Return the SHA-256 over the Python files of ``client`` and ``fedpsma``, their names and contents."""
    digest = hashlib.sha256()
    for package in (client, fedpsma):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py"), key=lambda found: found.relative_to(root).as_posix()):
            content = path.read_bytes()
            digest.update(f"{root.name}/{path.relative_to(root).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()
