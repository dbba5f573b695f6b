"""``fedpsma doctor`` as a user sees it."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from fedpsma.commands.doctor import doctor
from fedpsma.health import CheckResult

PASSED = CheckResult("python", "passed", "3.11.7")
ABSENT = CheckResult("packages [demo]", "absent", "gradio not installed", "pip install 'fedpsma[demo]'")
PROBLEM = CheckResult("disk", "problem", "0.5 GiB free", "make room")


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(doctor)
    return app


def test_problem_makes_it_fail_and_says_the_way_out(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedpsma.health.run_checks", lambda: iter([PASSED, PROBLEM]))
    shown = CliRunner().invoke(app, [])
    assert shown.exit_code == 1
    assert shown.output.splitlines() == [
        "PASSED   python: 3.11.7",
        "PROBLEM  disk: 0.5 GiB free",
        "         -> make room",
        "problems: 1",
    ]


def test_what_is_optional_does_not_make_it_fail(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedpsma.health.run_checks", lambda: iter([PASSED, ABSENT]))
    assert CliRunner().invoke(app, []).exit_code == 0


def test_json_holds_the_same(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedpsma.health.run_checks", lambda: iter([ABSENT, PROBLEM]))
    shown = CliRunner().invoke(app, ["--format", "json"])
    assert shown.exit_code == 1
    content = json.loads(shown.output)
    assert content["passed"] is False
    assert [check["state"] for check in content["checks"]] == ["absent", "problem"]


def test_this_environment_has_what_the_tests_need(app: typer.Typer) -> None:
    content = json.loads(CliRunner().invoke(app, ["--format", "json"]).output)
    state = {check["name"]: check["state"] for check in content["checks"]}
    assert (state["python"], state["packages"], state["names"]) == ("passed", "passed", "passed")
