"""Which code trains at this site, as a digest that the ledger keeps beside every charge."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fedpsma.training.trainer import DEFAULT_TRAINER


@cache
def code_hash(trainer: str = DEFAULT_TRAINER) -> str:
    """Return the SHA-256 over Python files, their names and contents: ``client``, ``fedpsma``, the trainer's package.

    Args:
        trainer: The trainer of the site's policy, by its dotted name.
    """
    digest = hashlib.sha256()
    for name in sorted({"client", "fedpsma", trainer.partition(":")[0].partition(".")[0]}):
        for shown, path in _files(name):
            content = path.read_bytes()
            digest.update(f"{name}/{shown} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def _files(name: str) -> list[tuple[str, Path]]:
    """Return the Python files of a package, or the one of a module, by their names in it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name)
    origin = Path(spec.origin)
    if spec.submodule_search_locations is None:
        return [(origin.name, origin)]
    return sorted((path.relative_to(origin.parent).as_posix(), path) for path in origin.parent.rglob("*.py"))
