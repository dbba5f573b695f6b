"""What ``flwr run`` ships to every site: four Python files and nothing else; the rest is what a site installed."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_disk
from flwr.common.constant import FAB_MAX_SIZE

from server.federation.app import TRAVELS, app_sha256, write_app
from server.flower import bundle_of

ROOT = Path(__file__).resolve().parents[2]
LARGEST_BYTES = 20_000
FLOWER_OWN = {"pyproject.toml", ".info/CONTENT", "LICENSE"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the bundle is made of, beside files that must never travel."""
    copy = tmp_path / "checkout"
    for name in ("server", "client"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, copy / name)
    for name in ("server/notes.md", "client/site.json", "data/exam.json", "fedpsma/cli.py", "run/federation.json"):
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", "utf-8")
    return copy


def _names(fab: bytes) -> set[str]:
    return set(zipfile.ZipFile(BytesIO(fab)).namelist())


def test_only_the_beginnings_of_both_apps_travel(checkout: Path) -> None:
    fab = build_fab_from_disk(checkout)
    assert _names(fab) - FLOWER_OWN == set(TRAVELS)
    assert len(fab) < LARGEST_BYTES < FAB_MAX_SIZE


def test_the_bundle_is_the_same_from_another_folder_at_another_time(checkout: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(checkout, other, copy_function=shutil.copyfile)
    assert build_fab_from_disk(checkout) == build_fab_from_disk(other)


def test_what_a_coordinator_sends_is_what_the_project_names(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["flwr"]["app"]
    assert list(TRAVELS) == project["fab-include"]
    app = write_app(tmp_path / "app")
    written = tomllib.loads((app / "pyproject.toml").read_text("utf-8"))["tool"]["flwr"]["app"]
    assert written["components"] == project["components"]
    fab = bundle_of(app)
    assert _names(fab) - FLOWER_OWN == set(TRAVELS)
    assert hashlib.sha256(fab).hexdigest() == app_sha256()


def test_a_bundle_first_in_the_search_path_brings_its_own_beginnings_and_the_rest_is_installed(tmp_path: Path) -> None:
    write_app(tmp_path / "app")
    code = (
        "import client.app, client.ledger, server.app, server.rounds; "
        "print([module.__file__ for module in (client.app, client.ledger, server.app, server.rounds)])"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'app'}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    found = [Path(name) for name in ast.literal_eval(done.stdout)]
    bundled = tmp_path / "app"
    assert found == [
        bundled / "client/app.py", ROOT / "client/ledger.py", bundled / "server/app.py", ROOT / "server/rounds.py"
    ]  # fmt: skip
