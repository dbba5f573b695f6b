"""The command line as a whole: what it lists, how it fails, and what it does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from command_line import run_fedpsma as _run
from typer.testing import CliRunner

from fedpsma import cli
from fedpsma.cli import build_app

COMMANDS = [
    "analyze",
    "audit",
    "calibrate",
    "demo",
    "doctor",
    "evaluate",
    "explain",
    "federation",
    "import",
    "model",
    "phantom",
    "quickstart",
    "report",
    "simulate",
    "stage",
    "train",
]
HEAVY = [
    "torch",
    "monai",
    "flwr",
    "transformers",
    "gradio",
    "opacus",
    "nibabel",
    "pydicom",
    "scipy",
    "skimage",
    "numpy",
]


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


def test_help_shows_what_arguments_mean_and_no_stray_escapes() -> None:
    shown = _run("analyze", "--help").stdout
    assert "DICOM folder, NIfTI PET, or data set folder.  [required]" in shown
    assert "\\" not in shown


def test_control_c_says_how_to_go_on_in_any_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    app = cli.typer.Typer(pretty_exceptions_enable=False)
    app.command()(stopped)
    monkeypatch.setattr(sys, "argv", ["stopped"])
    with pytest.raises(SystemExit) as left:
        cli.run(lambda: app)
    assert left.value.code == 130
    assert capsys.readouterr().err.strip().splitlines()[-1] == cli.STOPPED


@pytest.fixture
def broken_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = [one for one in cli.entry_points(group=cli.COMMANDS_GROUP) if one.name in ("doctor", "stage")]
    broken = EntryPoint("broken", "fedpsma.no_such_module:command", cli.COMMANDS_GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [*real, broken])


@pytest.mark.usefixtures("broken_command")
def test_command_that_cannot_be_loaded_leaves_the_others_alone() -> None:
    listed = CliRunner().invoke(build_app(), ["--help"]).output
    assert all(name in listed for name in ("broken", "doctor", "stage"))
    assert CliRunner().invoke(build_app(), ["doctor", "--help"]).exit_code == 0


@pytest.mark.usefixtures("broken_command")
@pytest.mark.parametrize("arguments", [[], ["input", "--out", "folder"]])
def test_command_that_cannot_be_loaded_says_why_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fedpsma", "broken", *arguments])
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "the command broken cannot be loaded: ModuleNotFoundError: No module named 'fedpsma.no_such_module'" in line
