"""The command line as a whole: what it lists, how it fails, and what it does not load."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fedpsma.cli import build_app

COMMANDS = ["analyze", "demo", "doctor", "import", "model", "phantom", "quickstart", "report", "simulate", "stage"]
HEAVY = ["torch", "monai", "flwr", "transformers", "gradio", "opacus", "nibabel", "pydicom", "scipy", "skimage", "numpy"]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from fedpsma.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_lists_every_command_with_a_line() -> None:
    listed = _run("--help")
    assert listed.returncode == 0
    for name in COMMANDS:
        line = next(line for line in listed.stdout.splitlines() if line.strip().startswith(name + " "))
        assert len(line.split(maxsplit=1)[1]) > 20, f"{name} says nothing of itself"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, json\nfrom fedpsma.cli import build_app\nbuild_app()\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str) -> None:
    assert name in {info.name for info in [*build_app().registered_commands, *build_app().registered_groups]}
    shown = _run(name, "--help")
    assert shown.returncode == 0
    assert "Usage" in shown.stdout


def test_unknown_command_is_wrong_input() -> None:
    failed = _run("anlyze")
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr


def test_wrong_input_gives_one_line_and_exit_code_2() -> None:
    failed = _run("stage", "missing.json")
    assert failed.returncode == 2
    assert failed.stderr.strip() == "error: missing.json: does not exist; check the path"
