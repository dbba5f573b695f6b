"""The application that travels to the sites: the listed Python files of this installation and nothing else."""

from __future__ import annotations

import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path

import server
from fedpsma import __version__
from fedpsma.io.files import write_bytes, write_text

# Where each app begins; all else that runs is what the coordinator and the site have installed.
TRAVELS = ("server/__init__.py", "server/app.py", "client/__init__.py", "client/app.py")


def write_app(folder: Path, run_folder: Path | None = None) -> Path:
    """Write the application into a new folder and return it; the same installation always gives the same bytes."""
    root = Path(server.__file__).resolve().parents[1]
    for name in TRAVELS:
        write_bytes(folder / name, (root / name).read_bytes())
    return write_project(folder, run_folder, TRAVELS)


def write_project(folder: Path, run_folder: Path | None = None, includes: tuple[str, ...] = ()) -> Path:
    """Write the project file that Flower reads of an application, and return its folder."""
    from server.flower import CLIENT_APP, SERVER_APP

    value = "" if run_folder is None else str(run_folder)
    lines = (
        "[project]",
        'name = "fedpsma"',
        f'version = "{__version__}"',
        "[tool.flwr.app]",
        'publisher = "fedpsma"',
        *([f"fab-include = {json.dumps(list(includes))}"] if includes else []),
        "[tool.flwr.app.components]",
        f'serverapp = "{SERVER_APP}"',
        f'clientapp = "{CLIENT_APP}"',
        "[tool.flwr.app.config]",
        f"run-folder = {json.dumps(value, ensure_ascii=False)}",
    )
    write_text(folder / "pyproject.toml", "\n".join(lines) + "\n")
    return folder


@cache
def app_sha256() -> str:
    """Return the SHA-256 by which a site approves this application."""
    from server.flower import bundle_of

    with tempfile.TemporaryDirectory() as parent:
        return hashlib.sha256(bundle_of(write_app(Path(parent) / "app"))).hexdigest()
