"""Imports point one way only; the arrows are those of docs/architecture.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FOLDERS = {
    "fedpsma": set(),
    "server": {"fedpsma"},
    "client": {"fedpsma"},
    "reporting": {"fedpsma"},
    "demo": {"fedpsma", "reporting", "server"},
}

LIBRARY = {
    "beside": set(),
    "cli": {"offline"},
    "contract": {"domain"},
    "health": {"offline"},
    "offline": set(),
    "packing": set(),
    "domain": set(),
    "secure_aggregation": {"contract", "io"},
    "joining": {"io", "secure_aggregation"},
    "history": {"contract", "io"},
    "settings": {"contract", "io"},
    "io": {"domain"},
    "text": {"domain"},
    "phantom": {"domain", "io", "staging"},
    "model": {"domain", "io"},
    "training": {"contract", "domain", "evaluation", "health", "io", "lesions", "model"},
    "federated": {"domain", "evaluation", "io", "lesions", "pages", "site_check", "training"},
    "audit": {"contract", "domain", "evaluation", "io", "model", "training"},
    "base": {"cli", "domain", "evaluation", "io", "lesions", "model", "phantom", "training"},
    "lesions": {"domain"},
    "pages": set(),
    "site_check": {"domain", "io", "lesions", "pages"},
    "staging": {"domain", "text"},
    "staging_page": {"domain", "pages", "staging"},
    "evaluation": {"analysis", "domain", "io", "lesions", "model", "pages", "phantom", "staging"},
    "pictures": {"domain", "lesions"},
    "comparison": {"analysis_folder", "domain", "io", "lesions", "pages", "pictures", "staging", "staging_page"},
    "analysis": {"domain", "io", "lesions", "model"},
    "explanation": {"analysis_folder", "domain", "io", "lesions", "pictures"},
    "analysis_folder": {"analysis", "domain", "io", "lesions", "model", "pictures"},
}
# Loading any of these costs seconds or binds the library to a service it must not know.
FOREIGN = {"flwr": {"server", "client"}, "gradio": {"demo"}, "transformers": {"reporting"}, "ray": {"server"}}


def _modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in _imports(path)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_import_only_what_lies_below_them(folder: str) -> None:
    for path in _modules(folder):
        others = (_tops(path) & set(FOLDERS)) - {folder} - FOLDERS[folder]
        assert not others, f"{path.relative_to(ROOT)} imports {sorted(others)}"


@pytest.mark.parametrize("part", LIBRARY)
def test_parts_of_the_library_import_only_what_lies_below_them(part: str) -> None:
    place = ROOT / "fedpsma" / part
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    assert paths, f"fedpsma/{part} does not exist"
    for path in paths:
        used = {name.split(".")[1] for name in _imports(path) if name.startswith("fedpsma.")}
        others = used - {part, "errors", "__version__"} - LIBRARY[part]
        assert not others, f"{path.relative_to(ROOT)} imports {sorted(others)}"


def test_every_part_of_the_library_has_its_arrows_listed() -> None:
    parts = {
        path.stem for path in (ROOT / "fedpsma").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert parts - {"__init__", "errors", "commands"} == set(LIBRARY)


@pytest.mark.parametrize("package", FOREIGN)
def test_heavy_packages_stay_in_their_folders(package: str) -> None:
    for folder in FOLDERS:
        for path in _modules(folder):
            if folder not in FOREIGN[package]:
                assert package not in _tops(path), f"{path.relative_to(ROOT)} imports {package}"


@pytest.mark.parametrize("side", ["server", "client"])
def test_flower_is_imported_in_one_adapter_a_side(side: str) -> None:
    users = {path.name for path in _modules(side) if "flwr" in _tops(path)}
    assert users <= {"flower.py"}
