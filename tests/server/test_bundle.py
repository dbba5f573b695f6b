"""What ``flwr run`` ships to every site: our Python files of two folders and nothing else."""

from __future__ import annotations

import hashlib
import shutil
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
LARGEST_BYTES = 200_000
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


def test_only_python_files_of_server_and_client_travel(checkout: Path) -> None:
    fab = build_fab_from_disk(checkout)
    travels = ("server/*.py", "server/strategies/*.py", "client/*.py")
    expected = {str(path.relative_to(ROOT)) for pattern in travels for path in ROOT.glob(pattern)}
    assert _names(fab) - FLOWER_OWN == expected
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
    expected = {str(path.relative_to(ROOT)) for pattern in TRAVELS for path in ROOT.glob(pattern)}
    assert _names(fab) - FLOWER_OWN == expected
    assert len(fab) < LARGEST_BYTES
    assert hashlib.sha256(fab).hexdigest() == app_sha256()
